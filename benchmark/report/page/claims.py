"""The claims for the page: a matrix per paper, and what a dialog says about each verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.report.claims.ledger import Judged, measured_text
from benchmark.report.claims.matrix import SIGNS, ClaimRow, claim_rows, columns
from benchmark.report.claims.summary import Summary
from benchmark.report.papers import Paper
from benchmark.report.results import Results

WITHOUT_DATASET = "all data"  # head of the column of claims that are about no single dataset


def matrices(
    results: Results,
    papers: Sequence[Paper],
    judged: Sequence[Judged],
    protocols: Mapping[str, str],
    summaries: Mapping[str, Summary],
) -> list[dict[str, Any]]:
    """Return for each paper label, source, protocol, what differs, `obstacle`, and the matrices `judged` and `not_run`.

    `obstacle` says why these results judge none of its claims; it is empty if they judge one.

    A matrix has `head`, its columns, and `rows` of a statement and signs; rows without any verdict are in `not_run`.
    A sign has its verdict and the place of its claim in `details`; None where there is no such claim.

    Args:
        results: the results folder.
        papers: the papers.
        judged: their claims, in the order of `details`.
        protocols: name of the protocol that judges, by name of the paper.
        summaries: how many of their claims were judged, by name of the paper.
    """
    places = {id(claim): number for number, claim in enumerate(judged)}
    found: list[dict[str, Any]] = []
    for paper in papers:
        rows = claim_rows(claim for claim in judged if claim.publication == paper.name)
        parts: dict[bool, list[ClaimRow]] = {True: [], False: []}
        for row in rows:
            parts[any(claim.verdict != "not run" for claim in row.verdicts.values())].append(row)
        found.append(
            {
                "name": paper.name,
                "label": paper.about.label,
                "source": paper.about.source,
                "differs": paper.about.differs,
                "protocol": results.names.protocol(protocols[paper.name]),
                "obstacle": summaries[paper.name].obstacle,
                "judged": _matrix(parts[True], results, places),
                "not_run": _matrix(parts[False], results, places),
            }
        )
    return found


def _matrix(rows: Sequence[ClaimRow], results: Results, places: Mapping[int, int]) -> dict[str, Any]:
    shown = columns(rows, results.order.datasets)
    signs = [[_sign(row.verdicts.get(column), places) for column in shown] for row in rows]
    return {
        "head": [results.names.dataset(column) if column else WITHOUT_DATASET for column in shown],
        "rows": [{"statement": row.statement, "signs": line} for row, line in zip(rows, signs, strict=True)],
    }


def _sign(claim: Judged | None, places: Mapping[int, int]) -> dict[str, Any] | None:
    if claim is None:
        return None
    return {"place": places[id(claim)], "verdict": claim.verdict, "sign": SIGNS[claim.verdict]}


def details(judged: Sequence[Judged]) -> list[dict[str, str]]:
    """Return what the dialog of each claim says."""
    return [
        {
            "what": claim.statement,
            "verdict": f"{SIGNS[claim.verdict]} {claim.verdict}",
            "why": claim.why,
            "paper": claim.paper,
            "measured": measured_text(claim),
            "over": claim.n,
            "note": claim.note,
            "source": claim.source,
        }
        for claim in judged
    ]
