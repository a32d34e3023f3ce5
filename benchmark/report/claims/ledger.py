"""The claims of a paper, and the form of a judged claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import Field

from benchmark.errors import closest
from benchmark.spec.yaml import Spec

Verdict = Literal["reproduced", "differs", "underpowered", "not run", "not comparable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Kind = Literal["order", "relative", "score", "ratio", "counted", "count", "share", "identity"]
Relation = Literal["at_least", "above", "below"]
COSTS = {
    "ratio": ("time", "memory"),
    "counted": (
        "forward_flops", "train_flops", "saved_bytes", "saved_bytes_per_clip", "optimizer_bytes", "stored_bytes",
    ),
}  # fmt: skip
# what a claim of each kind must say
REQUIRED: dict[Kind, tuple[str, ...]] = {
    "order": ("left", "right"),
    "relative": ("left", "right"),
    "score": (),
    "ratio": ("left", "right", "value"),
    "counted": ("left", "right", "value"),
    "count": ("dataset", "method", "millions"),
    "share": ("dataset", "method", "percent"),
    "identity": ("method",),
}


class Claim(Spec):
    """One claim of a paper, an entry of its `claims.yaml`; CONTRIBUTING.md explains the kinds."""

    id: str = Field(min_length=1, description="unique name over all papers")
    kind: Kind = Field(description="how it is judged")
    statement: str = Field(min_length=1, description="the claim as a sentence")
    source: str = Field(description="key of the source in `sources`")
    expect: Verdict | Literal["none"] = Field(default="reproduced", description="the expected verdict")
    note: str = Field(default="", description="explanation of the expected verdict")
    not_comparable: str = Field(
        default="", description="why no trial of the suite can judge it; the measured value is shown all the same"
    )
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
    counts: Literal["reference", "own", "without_head"] = Field(
        default="reference",
        description="which parameters a number counts: those that train, with the two unused heads of AAT's official "
        "code; without these; without any head",
    )

    def problem(self) -> str | None:
        """Return what the claim does not say although its kind needs it; None if it is complete."""
        missing = [key for key in REQUIRED[self.kind] if getattr(self, key) in {None, ""}]
        if missing:
            return f"a claim of the kind '{self.kind}' needs {' and '.join(missing)}"
        costs = COSTS.get(self.kind, ())
        if self.value and self.value not in costs:
            return f"unknown value '{self.value}'{closest(self.value, costs)}"
        return None

    @property
    def only_dataset(self) -> str:
        """The dataset of a claim about one; empty for others."""
        return self.dataset or (self.datasets[0] if self.datasets and len(self.datasets) == 1 else "")

    @property
    def methods(self) -> list[str]:
        """Return the names of the methods that it is about."""
        return [name for name in (self.method, self.left, self.right) if name]


class Ledger(Spec):
    """The content of a paper's `claims.yaml`."""

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
        publication: name of the paper's folder in `paper_tables`.
        note: how the methods differ from those of the paper.
        claim: the statement without the dataset; claims that share it are one row of a matrix.
        dataset: the dataset of the verdict, or `average`; empty for a claim that is about no single one.
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
    publication: str = ""
    note: str = ""
    claim: str = ""
    dataset: str = ""

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
