"""The claims for the page: a matrix per paper, and what a dialog says about each verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.report.claims.ledger import Judged, measured_text
from benchmark.report.claims.matrix import SIGNS, claim_rows, columns
from benchmark.report.papers import Paper
from benchmark.report.results import Results

WITHOUT_DATASET = "all data"  # head of the column of claims that are about no single dataset


def matrices(
    results: Results, papers: Sequence[Paper], judged: Sequence[Judged], protocols: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return a matrix per paper: label, source, protocol, what differs, `head`, and two lists of rows.

    `judged` has the rows with a verdict, `not_run` the others; a row has a statement and signs.

    A sign has its verdict and the place of its claim in `details`; None where there is no such claim.

    Args:
        results: the results folder.
        papers: the papers.
        judged: their claims, in the order of `details`.
        protocols: name of the protocol that judges, by name of the paper.
    """
    places = {id(claim): number for number, claim in enumerate(judged)}
    found: list[dict[str, Any]] = []
    for paper in papers:
        rows = claim_rows(claim for claim in judged if claim.publication == paper.name)
        shown = columns(rows, results.order.datasets)
        lines = [
            {
                "statement": row.statement,
                "not_run": all(claim.verdict == "not run" for claim in row.verdicts.values()),
                "signs": [
                    {"place": places[id(claim)], "verdict": claim.verdict, "sign": SIGNS[claim.verdict]}
                    if (claim := row.verdicts.get(column))
                    else None
                    for column in shown
                ],
            }
            for row in rows
        ]
        found.append(
            {
                "name": paper.name,
                "label": paper.about.label,
                "source": paper.about.source,
                "differs": paper.about.differs,
                "protocol": results.names.protocol(protocols[paper.name]),
                "head": [results.names.dataset(column) if column else WITHOUT_DATASET for column in shown],
                "judged": [line for line in lines if not line["not_run"]],
                "not_run": [line for line in lines if line["not_run"]],
            }
        )
    return found


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
