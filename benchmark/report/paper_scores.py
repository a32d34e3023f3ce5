"""The form of a paper's scores, and the measured scores that correspond to them."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from pydantic import Field

from benchmark.report.results import Results
from benchmark.spec.yaml import Spec


class PaperScore(Spec):
    """One score of a paper, in per cent."""

    source: str = Field(description="key of the source in `sources`")
    backbone: str = Field(description="name of the backbone")
    dataset: str = Field(description="name of the dataset")
    method: str = Field(description="name of the method")
    score: float = Field(ge=0, le=100, description="accuracy or mAP in per cent")
    split: Literal["test", "validation"] = Field(default="test", description="split that was scored")
    epoch: Literal["last", "reported"] = Field(
        default="reported", description="epoch that was scored: `reported` for the one that the dataset's rule chooses"
    )
    tolerance: float = Field(default=0.05, ge=0, description="how inexact the number itself may be, in points")

    @property
    def key(self) -> tuple[str, ...]:
        """What identifies the number: backbone, dataset, method, split and epoch."""
        return self.backbone, self.dataset, self.method, self.split, self.epoch


class ScoreFile(Spec):
    """The content of a file with scores: a paper's `scores.yaml`, or more scores from a user."""

    paper: str = Field(default="aat", description="the paper that a user's file belongs to")
    sources: dict[str, str] = Field(default={}, description="description of each source by its key")
    cells: list[PaperScore] = Field(description="scores of the paper")


def measured_score(
    results: Results, cell: pd.Series, split: Literal["test", "validation"], epoch: Literal["last", "reported"]
) -> float | None:
    """Return the measured score that corresponds to a score of a paper, in [0, 1]; None if it is incomplete.

    Args:
        results: the results folder.
        cell: the table cell.
        split: split that the paper scored.
        epoch: epoch that the paper scored.
    """
    if pd.isna(cell["score"]):
        return None
    if (split, epoch) == ("test", "reported"):
        return float(cell["score"])
    trials = results.trials[results.trials["cell"] == cell["cell"]]
    values = pd.to_numeric(trials[{"validation": "validation_last", "test": "score_last"}[split]])
    return float(values.mean()) if values.notna().all() else None
