"""Judged claims as a matrix: a row per claim, a column per dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmark.report.claims.ledger import VERDICTS, Judged, Verdict

AVERAGE = "average"
SIGNS: dict[Verdict, str] = {
    "reproduced": "✓", "differs": "✗", "underpowered": "?", "not run": "–", "not comparable": "≠"
}  # fmt: skip


@dataclass(frozen=True)
class ClaimRow:
    """One claim.

    Attributes:
        statement: the claim as a sentence, without a dataset.
        publication: name of the paper's folder in `paper_tables`.
        verdicts: judged claims by dataset, `average`, or an empty text.
    """

    statement: str
    publication: str
    verdicts: dict[str, Judged] = field(default_factory=dict)


def claim_rows(judged: Iterable[Judged]) -> list[ClaimRow]:
    """Return a row per claim, in the order of the claims."""
    rows: dict[tuple[str, str], list[ClaimRow]] = {}
    for claim in judged:
        of_claim = rows.setdefault((claim.publication, claim.claim or claim.statement), [])
        free = next((row for row in of_claim if claim.dataset not in row.verdicts), None)
        if free is None:  # two claims with one statement about one dataset, such as on two backbones
            free = ClaimRow(claim.claim or claim.statement, claim.publication)
            of_claim.append(free)
        free.verdicts[claim.dataset] = claim
    return [row for of_claim in rows.values() for row in of_claim]


def columns(rows: Sequence[ClaimRow], datasets: Sequence[str]) -> list[str]:
    """Return the columns that rows need: datasets in the given order, then others, `average`, and an empty text.

    Args:
        rows: rows of the matrix.
        datasets: the order of datasets.
    """
    used = dict.fromkeys(column for row in rows for column in row.verdicts)
    last = [AVERAGE, ""]
    known = [name for name in datasets if name in used]
    others = [name for name in used if name not in {*datasets, *last}]
    return [*known, *others, *(name for name in last if name in used)]


def tally(judged: Iterable[Judged]) -> dict[Verdict, int]:
    """Return the number of claims by verdict; verdicts that no claim has are left out."""
    counts = Counter(claim.verdict for claim in judged)
    return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}
