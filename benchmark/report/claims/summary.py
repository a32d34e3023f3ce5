"""How many claims of a paper were judged, in one sentence for the terminal and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.report.claims.ledger import Judged, Verdict
from benchmark.report.claims.matrix import claim_rows, tally
from benchmark.report.papers import Paper
from benchmark.report.render import bare_marks
from benchmark.report.results import Results
from benchmark.units import plural

CHECK = "a check is a claim on one dataset or backbone"


@dataclass(frozen=True)
class Summary:
    """Verdicts of a paper's claims.

    Attributes:
        claims: number of claims.
        counts: number of checks by verdict; a check is a claim on one dataset or backbone.
        obstacle: why these results judge none of them; empty if one is judged.
    """

    claims: int
    counts: dict[Verdict, int]
    obstacle: str

    @property
    def size(self) -> str:
        """Return `59 claims, 188 checks`."""
        return f"{plural(self.claims, 'claim')}, {plural(sum(self.counts.values()), 'check')}"

    @property
    def outcome(self) -> str:
        """Return `32 reproduced, 7 differs, 149 not run`, or `none judged: synthetic audio`."""
        if self.obstacle:
            return f"none judged: {self.obstacle}"
        return ", ".join(f"{number} {verdict}" for verdict, number in self.counts.items())

    def __str__(self) -> str:
        return f"{self.size} ({CHECK}): {self.outcome}"


def summarise(judged: Sequence[Judged], paper: Paper, results: Results) -> Summary:
    """Return how many claims of a paper were judged, and if none were, why.

    Args:
        judged: all claims with their verdicts; those of other papers are left out.
        paper: the paper.
        results: the results folder.
    """
    of_paper = [claim for claim in judged if claim.publication == paper.name]
    counts = tally(of_paper)
    is_judged = any(counts.get(verdict) for verdict in ("reproduced", "differs", "underpowered"))
    return Summary(len(claim_rows(of_paper)), counts, "" if is_judged else _obstacle(paper, results))


def _obstacle(paper: Paper, results: Results) -> str:
    """Return why no claim is judged: no trial is finished, all are marked, or they are not those of the paper."""
    if results.trials.empty:
        return "no trial is finished"
    cells = results.cells[results.cells["done"] > 0]
    of_cells = [
        paper.marks(results.requests[cell], marks) for cell, marks in zip(cells["cell"], cells["marks"], strict=True)
    ]
    if all(of_cells):
        return ", ".join(bare_marks(of_cells))
    return "no claim has all the trials that it needs"
