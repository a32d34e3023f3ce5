"""Verdicts: which of the paper's claims the results support, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmark.report.claims import costs, scores
from benchmark.report.claims.evidence import Evidence
from benchmark.report.claims.ledger import Claim, Judged, load_ledger
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


def judge(results: Results, protocol: str, paper: Path | None = None) -> list[Judged]:
    """Judge every claim of the ledger, in its order; a claim about each dataset gives several verdicts.

    Args:
        results: the results folder.
        protocol: name of the protocol whose cells judge.
        paper: file with more of the paper's scores.

    Raises:
        BenchmarkError: the file of scores does not follow the form.
    """
    evidence = Evidence(results, load_ledger(), protocol, paper)
    return [judged for claim in evidence.ledger.claims for judged in _KINDS[claim.kind](claim, evidence)]
