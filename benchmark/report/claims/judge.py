"""Verdicts: which claims of papers the results support, with the reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

from benchmark.report.claims import costs, scores
from benchmark.report.claims.evidence import Evidence, with_verdict
from benchmark.report.claims.ledger import Claim, Judged
from benchmark.report.papers import Paper
from benchmark.report.results import Results

_KINDS: dict[str, Callable[[Claim, Evidence], Iterator[Judged]]] = {
    "order": scores.order,
    "relative": scores.relative,
    "score": scores.score,
    "ratio": costs.ratio,
    "counted": costs.counted,
    "count": costs.count,
    "share": costs.share,
    "identity": costs.identity,
}


def judge(results: Results, papers: Iterable[Paper], protocol: str | None = None) -> list[Judged]:
    """Judge every claim of some papers, in their order; a claim about each dataset gives several verdicts.

    Args:
        results: the results folder.
        papers: the papers.
        protocol: name of the protocol whose cells judge; None for that of each paper.
    """
    return [
        judged
        for paper in papers
        for judged in _judge_paper(Evidence(results, paper, protocol or paper.about.protocol))
    ]


def _judge_paper(evidence: Evidence) -> Iterator[Judged]:
    for claim in evidence.paper.ledger.claims:
        for judged in _KINDS[claim.kind](claim, evidence):
            if not claim.not_comparable:
                yield judged
                continue
            undecided = dataclasses.replace(judged, needs=())  # no cell decides it
            measured = judged.measured is not None
            yield with_verdict(undecided, "not comparable", claim.not_comparable) if measured else undecided
