"""What claims are judged with: the cells of one protocol, and whether they are comparable with a paper."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import pandas as pd

from benchmark.records.schema import StepProfile
from benchmark.report.claims.ledger import Claim, Judged, Verdict
from benchmark.report.names import Names
from benchmark.report.papers import Paper
from benchmark.report.results import Results
from benchmark.spec.grammar import unordered

Needs = tuple[tuple[str, str, str], ...]  # (backbone, dataset, method) of the cells that decide a claim
RELATIONS = {"at_least": "at least equal", "above": "above", "below": "below"}


@dataclass(frozen=True)
class Evidence:
    """What a claim is judged with.

    Attributes:
        results: the results folder.
        paper: the paper.
        protocol: name of the protocol whose cells judge.
    """

    results: Results
    paper: Paper
    protocol: str

    @property
    def names(self) -> Names:
        """What people read in place of the names of requests."""
        return self.results.names

    @property
    def datasets(self) -> list[str]:
        """The datasets of the paper."""
        return self.paper.about.datasets

    def needs(self, backbone: str, dataset: str, *methods: str) -> Needs:
        """Return the cells of methods of the paper, with the names that the suite gives these methods."""
        return tuple((backbone, dataset, self.paper.method(method, dataset)) for method in methods)

    def cell(self, backbone: str, dataset: str, method: str) -> pd.Series | None:
        """Return a table cell; of several, one that is comparable with the paper and complete is preferred.

        Args:
            backbone: name of the backbone, without options.
            dataset: name of the dataset.
            method: name of the method, with its options; a composition in any order.
        """
        return self._cells.get((backbone, dataset, unordered(method)))

    @functools.cached_property
    def _cells(self) -> dict[tuple[str, str, tuple[str, ...]], pd.Series]:
        cells = self.results.rows[self.results.rows["protocol"] == self.protocol]
        pairs = zip(cells["cell"], cells["marks"], strict=True)
        marks = [self.paper.marks(self.results.requests[cell], text) for cell, text in pairs]
        ranked = cells.assign(
            marks=marks,
            bare=cells["backbone"].str.replace(r"\[.*", "", regex=True),
            is_marked=[text != "" for text in marks],
            is_incomplete=cells["score"].isna(),
        ).sort_values(["is_marked", "is_incomplete"], kind="stable")
        best: dict[tuple[str, str, tuple[str, ...]], pd.Series] = {}
        for _, cell in ranked.iterrows():  # the best comes first
            best.setdefault((cell["bare"], cell["dataset"], unordered(cell["method"])), cell)
        return best

    @functools.cached_property
    def profiles(self) -> list[StepProfile]:
        """The step profiles whose recipe is the paper's."""
        return [each for each in self.results.profiles if not each.request.changes_from(self.paper.layers)]

    def _label(self, method: str, dataset: str) -> str:
        """Return what the paper calls a method of the suite."""
        papers = {self.paper.method(name, dataset): name for name in self.paper.about.methods}
        return self.paper.label(papers.get(method, method), self.names)

    def obstacle(self, needs: Needs) -> tuple[Verdict, str] | None:
        """Return the verdict and reason of a claim that these cells cannot decide; None if they can."""
        for backbone, dataset, method in needs:
            cell = self.cell(backbone, dataset, method)
            name = f"{self._label(method, dataset)} on {self.names.dataset(dataset)} ({self.names.backbone(backbone)})"
            if cell is None or not cell["done"]:
                return "not run", f"{name} was not run"
            if cell["marks"]:
                return "not comparable", f"{name}: {cell['marks']}"
            if pd.isna(cell["score"]):
                return "not run", f"{name}: {cell['done']} of {cell['expected']} trials are finished"
        return None


def unjudged(claim: Claim, evidence: Evidence, part: str, needs: Needs = ()) -> Judged:
    """Return a claim, or one part of it, before it is judged.

    Args:
        claim: the claim.
        evidence: what it is judged with.
        part: the dataset, or `average`, of a claim that is judged for each dataset; empty for other claims.
        needs: the cells that decide it.
    """
    return Judged(
        id=f"{claim.id}-{part}" if part else claim.id,
        statement=f"{claim.statement} ({evidence.names.dataset(part)})" if part else claim.statement,
        source=f"{claim.source}: {evidence.paper.ledger.sources[claim.source]}",
        verdict="not run",
        kind=claim.kind,
        expect=claim.expect,
        why="",
        paper=RELATIONS[claim.relation] if claim.kind == "order" else "",
        needs=needs,
        publication=evidence.paper.name,
        note=evidence.paper.note(claim.methods, evidence.names),
        claim=claim.statement,
        dataset=part or claim.only_dataset,
    )


def with_verdict(claim: Judged, verdict: Verdict, why: str) -> Judged:
    """Return the claim with a verdict that comes without a measured value."""
    return dataclasses.replace(claim, verdict=verdict, why=why)
