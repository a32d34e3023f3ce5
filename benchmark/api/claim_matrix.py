"""Judged claims for the terminal: a matrix of signs, and the values and reasons of some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmark.console import Block, Sheet, Styled
from benchmark.report.claims.ledger import Judged, Verdict, measured_text
from benchmark.report.claims.matrix import ClaimRow, claim_rows, columns
from benchmark.report.names import Names

SIGNS: dict[Verdict, Styled] = {  # one character each, which every terminal has
    "reproduced": Styled("+", "green"),
    "differs": Styled("-", "red"),
    "underpowered": Styled("?", "yellow"),
    "not comparable": Styled("x", ""),
    "not run": Styled(".", ""),
}
HEADS = {"average": "avg", "": "all"}  # columns that are about no single dataset
MAX_REASON = 200  # characters of a reason in a printed line


def claim_blocks(judged: Sequence[Judged], names: Names, label: str, *, every: bool = False) -> Iterator[Block]:
    """Yield the claims of a paper as a matrix of signs, and the values and reasons of some.

    Args:
        judged: judged claims of one paper.
        names: labels of the datasets.
        label: short name of the paper.
        every: yield all claims, each with its value and reason; else those with a verdict, and the reasons of those
            that differ.
    """
    shown = [row for row in claim_rows(judged) if every or any(c.verdict != "not run" for c in row.verdicts.values())]
    parts = columns(shown, list(names.datasets))
    heads = {part: HEADS.get(part, str(number)) for number, part in enumerate(parts, 1)}
    if shown:
        rows = [[row.statement, *(_sign(row.verdicts.get(part)) for part in parts), _value(row)] for row in shown]
        yield Sheet(f"Claims of {label}", ["claim", *heads.values(), "measured (paper)"], rows)
        yield ", ".join(f"{sign} {verdict}" for verdict, sign in SIGNS.items())
        if named := [f"{heads[part]} {names.dataset(part)}" for part in parts if part not in HEADS]:
            yield ", ".join(named)
    for row in shown:
        yield from (claim_line(claim) for claim in row.verdicts.values() if every or claim.verdict == "differs")


def claim_line(claim: Judged) -> Styled:
    """Return verdict, statement, values and reason in one line."""
    measured = " ".join(filter(None, (measured_text(claim), f"({claim.n})" if claim.n else "")))
    paper = f" (paper: {claim.paper})" if claim.paper else ""
    reason = claim.why if len(claim.why) <= MAX_REASON else f"{claim.why[:MAX_REASON]}..."
    text = f"{claim.verdict:15}{claim.statement}{paper}{f': {measured}' if measured else ''}; {reason}"
    return Styled(text, SIGNS[claim.verdict].style)


def _sign(claim: Judged | None) -> Styled | str:
    return "" if claim is None else SIGNS[claim.verdict]


def _value(row: ClaimRow) -> str:
    """Return what was measured: the value with its interval, or the values of several datasets in their order."""
    measured = [claim for claim in row.verdicts.values() if claim.measured is not None]
    if not measured:
        return ""
    papers = list(dict.fromkeys(claim.paper for claim in measured if claim.paper))
    unit = measured[0].unit
    if len(measured) == 1:
        text = measured_text(measured[0])
    elif measured[0].kind == "counted":  # each dataset has its own number on both sides
        text, papers = f"{', '.join(_ratio(claim) for claim in measured)} times", ["below 1"]
    else:
        text = f"{', '.join(f'{claim.measured:.3g}' for claim in measured)} {unit}"
    if measured[0].kind == "ratio":
        text += ", no interval"
    return text + (f" ({', '.join(papers)})" if papers else "")


def _ratio(claim: Judged) -> str:
    """Return the first method's counted cost as a share of the second's."""
    if claim.measured is None or claim.difference is None:
        return "?"
    return f"{claim.measured / (claim.measured - claim.difference):.3g}"
