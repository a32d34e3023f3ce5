"""What the trained models of table cells scored clip by clip, and comparisons of cells on the same clips."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.report.inference import Array, Estimate, estimate, holm

Names = npt.NDArray[np.str_]
ALPHA = 0.05


@dataclass(frozen=True)
class Fold:
    """The test clips of a fold, in the order of their paths.

    Attributes:
        clips: (clips,) paths.
        groups: (clips,) what clips share.
        values: (clips,) of each seed, or draw of few training clips; their mean is the score of the fold.
    """

    clips: Names
    groups: Names
    values: Mapping[int, Array]

    @classmethod
    def of(cls, clips: Names, groups: Names, values: Mapping[int, npt.NDArray[Any]]) -> Fold:
        """Return a fold from arrays in any common order of the clips."""
        order = np.argsort(clips)
        return cls(clips[order], groups[order], {seed: each[order] for seed, each in values.items()})


@dataclass(frozen=True)
class Outcome:
    """What the trained models of one cell scored.

    Attributes:
        method: names the cell in reasons.
        folds: by number.
        grouped: whether its records have groups of clips; those before schema version 6 have none.
    """

    method: str
    folds: Mapping[int, Fold]
    grouped: bool = True

    @property
    def seeds(self) -> set[int]:
        """Seeds that every fold has."""
        return set.intersection(*(set(fold.values) for fold in self.folds.values()))

    @functools.cached_property
    def group_numbers(self) -> npt.NDArray[np.integer[Any]]:
        """(clips of all folds,) numbers of their groups, from 0."""
        names = np.concatenate([fold.groups for fold in self.folds.values()])
        return np.unique(names, return_inverse=True)[1]


def not_comparable(one: Outcome, other: Outcome) -> str | None:
    """Return why two cells cannot be compared clip by clip; None if they can."""
    names = one.method if one is other else f"{one.method} and {other.method}"
    if one.grouped != other.grouped:
        older = other if one.grouped else one
        return f"the records of {older.method} do not say which clips share a recording: run it again"
    if reason := _different_clips(one, other, names):
        return reason
    if not one.seeds & other.seeds:
        return f"{names} share no seed"
    if not one.group_numbers.any():
        return f"all test clips of {names} are of one group, so that their error is not known"
    return None


def _different_clips(one: Outcome, other: Outcome, names: str) -> str | None:
    """Return how the test clips of two cells differ; None if they are the same."""
    if set(one.folds) != set(other.folds):
        return f"{names} have different folds"
    for number, fold in one.folds.items():
        if not np.array_equal(fold.clips, other.folds[number].clips):
            different = len(set(fold.clips) ^ set(other.folds[number].clips))
            return f"{names} have different test clips in fold {number} ({different} are in one of them only)"
        if not np.array_equal(fold.groups, other.folds[number].groups):
            return f"the records of {names} differ in which clips share a recording: run the older ones again"
    return None


def not_comparable_together(outcomes: Sequence[Outcome]) -> str | None:
    """Return why several cells cannot be compared clip by clip; None if they can."""
    reasons = (not_comparable(outcomes[0], other) for other in outcomes[1:])
    if reason := next(filter(None, reasons), None):
        return reason
    return None if shared_seeds(outcomes) else "their records share no seed"


def shared_seeds(outcomes: Sequence[Outcome]) -> list[int]:
    """Return the seeds that all cells have."""
    return sorted(set.intersection(*(outcome.seeds for outcome in outcomes)))


def weighted(outcomes: Sequence[Outcome], factors: Sequence[float]) -> Estimate:
    """Estimate a weighted sum of scores over the seeds that all of them have; folds have equal weight.

    Args:
        outcomes: cells that can be compared with each other.
        factors: a factor per cell.
    """
    seeds = shared_seeds(outcomes)
    first = outcomes[0].folds
    columns, weights = [], []
    for number, fold in first.items():
        size = len(fold.clips)
        total = np.zeros((len(seeds), size))
        for outcome, factor in zip(outcomes, factors, strict=True):
            total += factor * np.stack([outcome.folds[number].values[seed] for seed in seeds])
        columns.append(total)
        weights.append(np.full(size, 1 / (len(first) * size)))
    return estimate(np.concatenate(columns, axis=1), np.concatenate(weights), outcomes[0].group_numbers)


def score(outcome: Outcome) -> Estimate:
    """Estimate the score of a cell."""
    return weighted([outcome], [1.0])


def difference(one: Outcome, other: Outcome) -> Estimate:
    """Estimate the score of one cell minus that of another on the same clips."""
    return weighted([one, other], [1.0, -1.0])


def share_difference(pairs: Sequence[tuple[Outcome, Outcome]]) -> Estimate | None:
    """Estimate left / right of the first pair minus left / right of the second, by the delta method.

    None if a score on the right is zero.

    Args:
        pairs: two pairs of cells that can be compared together.
    """
    outcomes = [outcome for pair in pairs for outcome in pair]
    means = [weighted(outcomes, [float(one is other) for other in outcomes]).mean for one in outcomes]
    factors, value = list[float](), 0.0
    for sign, above, below in ((1.0, *means[:2]), (-1.0, *means[2:])):
        if not below:
            return None
        factors += [sign / below, -sign * above / below**2]
        value += sign * above / below
    return dataclasses.replace(weighted(outcomes, factors), mean=value)


def ties(outcomes: Mapping[str, Outcome], scores: Mapping[str, float]) -> set[str]:
    """Return the best cell and those that are not significantly different from it.

    Which one is the best is not known before. So p values are corrected for all pairs of cells, by Holm's method at
    5 %. A cell that cannot be compared with the best one is left out.

    Args:
        outcomes: by cell.
        scores: by cell; cells without an outcome are left out.
    """
    best = max(outcomes, key=lambda name: scores[name])
    all_pairs = itertools.combinations(outcomes, 2)
    pairs = [(one, other) for one, other in all_pairs if not not_comparable(outcomes[one], outcomes[other])]
    corrected = holm([difference(outcomes[one], outcomes[other]).p for one, other in pairs])
    tied = {name for pair, p in zip(pairs, corrected, strict=True) if best in pair and not p < ALPHA for name in pair}
    return {best, *tied}
