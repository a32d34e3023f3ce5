"""The form of the results of a table cell by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.report.measured import DIGITS
from benchmark.spec.yaml import Spec

CLASS_METRICS = {"accuracy": ("recall", "precision", "f1", "auc"), "map": ("ap", "auc", "recall", "precision", "f1")}
SUMMARY = {
    "macro_f1": "macro-F1",
    "balanced_accuracy": "balanced accuracy",
    "macro_auc": "macro AUC",
    "ece": "calibration error (points)",
}


class Value(Spec):
    """A number over seeds."""

    mean: float | None = Field(description="mean over seeds, in [0, 1]; null where it is not defined for every seed")
    seed_sd: float | None = Field(description="standard deviation over seeds; null with one seed")

    @classmethod
    def over(cls, values: Sequence[float | None]) -> Value:
        """Return the mean of the values of all seeds."""
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return cls(mean=None, seed_sd=None)
        spread = round(float(np.std(known, ddof=1)), DIGITS) if len(known) > 1 else None
        return cls(mean=float(np.mean(known)), seed_sd=spread)

    @property
    def text(self) -> str:
        """Per cent, such as `87.5 ± 2.0`; empty if it is not defined."""
        if self.mean is None:
            return ""
        return f"{100 * self.mean:.1f}" + ("" if self.seed_sd is None else f" ± {100 * self.seed_sd:.1f}")


class OfClass(Spec):
    """One class."""

    name: str = Field(description="as the dataset has it, or `class 3` in records that do not hold names")
    clips: int = Field(description="test clips in which it was annotated")
    support: int = Field(description="test clips of the class")
    values: dict[str, Value] = Field(description="recall (accuracy within the class), precision, f1, auc; ap for map")


class Bin(Spec):
    """Answers of similar confidence."""

    low: float = Field(description="lower end, not included")
    high: float = Field(description="upper end")
    share: float = Field(description="share of the answers that are in the bin")
    confidence: float | None = Field(description="their mean confidence; null without an answer")
    correct: float | None = Field(description="share of them that are true; null without an answer")


class ByClass(Spec):
    """A table cell by class: over the test clips of all folds, mean over seeds."""

    metric: Literal["accuracy", "map"] = Field(description="metric of the dataset")
    seeds: tuple[int, ...] = Field(description="seeds")
    classes: tuple[OfClass, ...] = Field(description="all classes, in the order of the model's outputs")
    summary: dict[str, Value] = Field(description="macro_f1, balanced_accuracy, macro_auc and ece")
    confusion: tuple[tuple[float, ...], ...] | None = Field(
        description="clips by true class, in rows, and predicted class, mean over seeds; null where clips have "
        "several labels, for which there is no such matrix"
    )
    calibration: tuple[Bin, ...] = Field(description="bins of confidence, over all seeds")

    @property
    def score(self) -> str:
        """Name of the number by class that belongs to the metric."""
        return CLASS_METRICS[self.metric][0]

    @property
    def present(self) -> list[OfClass]:
        """Classes with test clips."""
        return [entry for entry in self.classes if entry.support]

    @property
    def weakest(self) -> list[OfClass]:
        """Classes with a score, the lowest first."""
        known = [entry for entry in self.present if entry.values[self.score].mean is not None]
        return sorted(known, key=lambda entry: entry.values[self.score].mean or 0.0)

    def confused(self) -> list[tuple[OfClass, OfClass, float]]:
        """Return true class, predicted class and number of clips of all pairs, the largest share of a class first."""
        pairs = [
            (self.classes[row], self.classes[column], count)
            for row, counts in enumerate(self.confusion or ())
            for column, count in enumerate(counts)
            if count and row != column
        ]
        return sorted(pairs, key=lambda pair: -pair[2] / pair[0].support)
