"""Verdicts: what the results say of every claim, and why nothing where they say nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmark.report.claims import costs, scores
from benchmark.report.claims.bench import Bench
from benchmark.report.claims.ledger import Claim, Judged, load_ledger
from benchmark.report.results import Results

_KINDS: dict[str, Callable[[Claim, Bench], Iterator[Judged]]] = {
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
    """Every claim of the ledger, in its order; claims about each dataset are several.

    Args:
        results: the results.
        protocol: whose cells count.
        paper: more of the paper's numbers.
    """
    bench = Bench(results, load_ledger(), protocol, paper)
    return [judged for claim in bench.ledger.claims for judged in _KINDS[claim.kind](claim, bench)]
