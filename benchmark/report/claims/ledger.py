"""The claims ledger, and the form of a judged claim."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal, get_args

import yaml
from pydantic import Field

from benchmark.spec.yaml import Spec, validate

Verdict = Literal["reproduced", "differs", "underpowered", "not run", "not comparable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Kind = Literal["order", "relative", "score", "ratio", "counted", "count", "share", "identity"]
Relation = Literal["at_least", "above", "below"]


class Claim(Spec):
    """One claim of the paper, an entry of `paper_tables/claims.yaml`, which explains the kinds."""

    id: str = Field(description="unique name")
    kind: Kind = Field(description="how it is judged")
    statement: str = Field(description="the claim as a sentence")
    source: str = Field(description="key of the source in `sources`")
    expect: Verdict | Literal["none"] = Field(default="reproduced", description="the expected verdict")
    note: str = Field(default="", description="explanation of the expected verdict")
    backbone: str = Field(default="ast", description="backbone of both sides")
    dataset: str | None = Field(default=None, description="the only dataset of the claim")
    datasets: list[str] | None = Field(default=None, description="its datasets; null for all of the paper")
    method: str = Field(default="", description="the method of a claim about one method")
    left: str = Field(default="", description="the first method of a comparison")
    right: str = Field(default="", description="the second method of a comparison")
    relation: Relation = Field(default="below", description="how the first method compares with the second")
    margin: float = Field(default=0.0, description="difference in points that still counts as equal")
    value: str = Field(default="", description="the compared cost")
    paper: float | None = Field(default=None, description="the paper's ratio; null if it says only `below 1`")
    tolerance: float = Field(default=0.0, description="largest deviation from the paper's ratio")
    percent: float | None = Field(default=None, description="the paper's share of trainable parameters in per cent")
    millions: float | None = Field(default=None, description="the paper's number of trainable parameters in millions")
    digits: int = Field(default=3, description="decimal places of the paper's number")


class Ledger(Spec):
    """The content of the file."""

    sources: dict[str, str] = Field(description="description of each source by its key")
    claims: list[Claim] = Field(description="the claims")


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    Attributes:
        id: unique name.
        statement: the claim as a sentence.
        source: where the paper says it.
        verdict: the result.
        kind: how it is judged.
        expect: the verdict that the ledger expects, or `none`.
        why: the reason of the verdict.
        unit: unit of `paper`, `measured`, `low`, `high` and `difference`.
        paper: the paper's value or relation.
        measured: the measured value.
        low: lower end of its 95 % interval.
        high: upper end of its 95 % interval.
        difference: measured minus the paper's value, or first minus second method.
        n: what the interval is over.
        needs: (backbone, dataset, method) of the cells that decide.
    """

    id: str
    statement: str
    source: str
    verdict: Verdict
    kind: Kind
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
        """False if the claim was judged and has another verdict than the ledger expects."""
        return self.verdict not in {"reproduced", "differs"} or self.expect in {"none", self.verdict}


def measured_text(judged: Judged) -> str:
    """Return the measured value with its interval: `0.8 [0.1, 1.5] points`."""
    if judged.measured is None:
        return ""
    interval = "" if judged.low is None else f" [{judged.low:.4g}, {judged.high:.4g}]"
    return f"{judged.measured:.4g}{interval} {judged.unit}".strip()


def load_ledger() -> Ledger:
    """Read the ledger that ships with the suite.

    Raises:
        BenchmarkError: the file does not follow the form.
    """
    content: Any = yaml.safe_load((files("paper_tables") / "claims.yaml").read_text(encoding="utf-8"))
    return validate(Ledger, content, "paper_tables/claims.yaml")
