"""The claims of papers, judged with the shown records of all submitters and with those of each one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.report.board.read import Board, Section
from benchmark.report.claims.judge import judge
from benchmark.report.claims.ledger import VERDICTS, Judged, Verdict, measured_text
from benchmark.report.claims.matrix import SIGNS, tally
from benchmark.report.papers import Paper, PaperChoice

JUDGED = ("reproduced", "differs", "underpowered")  # verdicts that say something about the claim


@dataclass(frozen=True)
class BoardClaim:
    """A claim with its verdicts.

    Attributes:
        judged: judged with the shown records of all submitters.
        sign: sign of the verdict.
        measured: the measured value with its interval.
        by_verdict: submitters by the verdict of their own records alone; without those who ran none of it.
        cells: digests of the table cells that decide it.
    """

    judged: Judged
    sign: str
    measured: str
    by_verdict: dict[Verdict, list[str]]
    cells: list[str]


@dataclass(frozen=True)
class PaperClaims:
    """The claims of one paper.

    Attributes:
        paper: the paper.
        protocol: label of the protocol whose cells judge.
        tally: number of claims by verdict.
        claims: claims with a verdict that says something.
        others: the other claims, by verdict.
    """

    paper: Paper
    protocol: str
    tally: dict[Verdict, int]
    claims: list[BoardClaim]
    others: dict[Verdict, list[BoardClaim]]

    @property
    def page(self) -> str:
        """Path of its page."""
        return f"claims/{self.paper.name}.html"


def claims_of(board: Board, choice: PaperChoice) -> list[PaperClaims]:
    """Return the claims of each paper, judged with the first section: complete data, if there is any.

    Args:
        board: the board.
        choice: papers whose claims are shown.

    Raises:
        BenchmarkError: a paper's folder does not follow its form.
    """
    if not board.sections:
        return []
    section = board.sections[0]
    papers = choice.of(section.results)
    by_submitter = _by_submitter(board, section, papers)
    return [_of_paper(section, paper, by_submitter) for paper in papers]


def _by_submitter(board: Board, section: Section, papers: Sequence[Paper]) -> dict[str, dict[str, Verdict]]:
    """Return the verdict of each claim with the records of one submitter alone, by claim and submitter."""
    found: dict[str, dict[str, Verdict]] = {}
    for name in board.submitters if section.is_complete else ():
        results = board.results_of(name, section)
        if results.trials.empty:
            continue
        for paper in papers:
            for judged in judge(results, [paper], paper.protocol_of(results)):
                if judged.verdict in JUDGED:
                    found.setdefault(judged.id, {})[name] = judged.verdict
    return found


def _of_paper(section: Section, paper: Paper, by_submitter: dict[str, dict[str, Verdict]]) -> PaperClaims:
    results = section.results
    protocol = paper.protocol_of(results)
    judged = judge(results, [paper], protocol)
    cells = results.rows[results.rows["protocol"] == protocol]
    keys = zip(cells["backbone"].str.replace(r"\[.*", "", regex=True), cells["dataset"], cells["method"], strict=True)
    by_need = dict(zip(keys, cells["cell"], strict=True))
    claims = [_claim(one, by_submitter.get(one.id, {}), by_need) for one in judged]
    others: dict[Verdict, list[BoardClaim]] = {
        verdict: [claim for claim in claims if claim.judged.verdict == verdict]
        for verdict in VERDICTS
        if verdict not in JUDGED
    }
    return PaperClaims(
        paper, results.names.protocol(protocol), tally(judged),
        [claim for claim in claims if claim.judged.verdict in JUDGED],
        {verdict: found for verdict, found in others.items() if found},
    )  # fmt: skip


def _claim(judged: Judged, verdicts: dict[str, Verdict], by_need: dict[tuple[str, str, str], str]) -> BoardClaim:
    by_verdict: dict[Verdict, list[str]] = {}
    for name, verdict in verdicts.items():
        by_verdict.setdefault(verdict, []).append(name)
    cells = [by_need[need] for need in judged.needs if need in by_need]
    return BoardClaim(judged, SIGNS[judged.verdict], measured_text(judged), by_verdict, cells)
