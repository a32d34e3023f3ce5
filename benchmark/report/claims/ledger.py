"""The claims ledger, and what a judged claim is."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal, get_args

import yaml
from pydantic import Field

from benchmark.spec.yaml import Spec, validate

Verdict = Literal["reproduced", "differs", "underpowered", "not run", "not comparable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Relation = Literal["at_least", "above", "below"]


class Claim(Spec):
    """One entry of `paper_tables/claims.yaml`, which says what the kinds mean."""

    id: str
    kind: Literal["order", "relative", "score", "ratio", "counted", "count", "share", "identity"]
    statement: str
    source: str
    expect: Verdict | Literal["none"] = "reproduced"
    note: str = ""
    backbone: str = "ast"
    dataset: str | None = None
    datasets: list[str] | None = None
    method: str = ""
    left: str = ""
    right: str = ""
    relation: Relation = "below"
    margin: float = Field(default=0.0, description="points that still count as a match")
    value: str = ""
    paper: float | None = None
    tolerance: float = 0.0
    percent: float | None = None
    millions: float | None = None
    digits: int = 3


class Ledger(Spec):
    """The content of the file."""

    sources: dict[str, str]
    claims: list[Claim]


@dataclass(frozen=True)
class Judged:
    """A claim and what the results say. `paper`, `measured`, `low`, `high` and `difference` are in `unit`.

    `n` is what the interval is over; `needs` are the (backbone, dataset, method) cells that decide.
    """

    id: str
    statement: str
    source: str
    verdict: Verdict
    expect: str
    why: str
    unit: str = ""
    paper: str = ""
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    n: str = ""
    needs: tuple[tuple[str, str, str], ...] = ()

    @property
    def as_expected(self) -> bool:
        """False where a claim was judged and came out otherwise."""
        return self.verdict not in {"reproduced", "differs"} or self.expect in {"none", self.verdict}


def measured_text(judged: Judged) -> str:
    """`+0.8 [+0.1, +1.5] points`."""
    if judged.measured is None:
        return ""
    interval = "" if judged.low is None else f" [{judged.low:.4g}, {judged.high:.4g}]"
    return f"{judged.measured:.4g}{interval} {judged.unit}".strip()


def load_ledger() -> Ledger:
    """The ledger that ships.

    Raises:
        BenchmarkError: a mistake in it.
    """
    content: Any = yaml.safe_load((files("paper_tables") / "claims.yaml").read_text(encoding="utf-8"))
    return validate(Ledger, content, "paper_tables/claims.yaml")
