"""What the trained models of table cells scored clip by clip, and comparisons of cells on the same clips."""

from __future__ import annotations

import dataclasses
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
        values: (clips,) of each seed; their mean is the score of the fold.
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
    """

    method: str
    folds: Mapping[int, Fold]

    @property
    def seeds(self) -> set[int]:
        """Seeds that every fold has."""
        return set.intersection(*(set(fold.values) for fold in self.folds.values()))


def not_comparable(one: Outcome, other: Outcome) -> str | None:
    """Return why two cells cannot be compared clip by clip; None if they can."""
    names = f"{one.method} and {other.method}"
    if set(one.folds) != set(other.folds):
        return f"{names} have other folds"
    for number, fold in one.folds.items():
        if not np.array_equal(fold.clips, other.folds[number].clips):
            different = len(set(fold.clips) ^ set(other.folds[number].clips))
            return f"{names} have other test clips in fold {number} ({different} are in one of them only)"
    if not one.seeds & other.seeds:
        return f"{names} share no seed"
    return None


def weighted(outcomes: Sequence[Outcome], factors: Sequence[float]) -> Estimate:
    """Estimate a weighted sum of scores over the seeds that all of them have; folds have equal weight.

    Args:
        outcomes: cells that can be compared with each other.
        factors: a factor per cell.
    """
    seeds = sorted(set.intersection(*(outcome.seeds for outcome in outcomes)))
    first = outcomes[0].folds
    columns, weights, groups = [], [], []
    for number, fold in first.items():
        size = len(fold.clips)
        total = np.zeros((len(seeds), size))
        for outcome, factor in zip(outcomes, factors, strict=True):
            total += factor * np.stack([outcome.folds[number].values[seed] for seed in seeds])
        columns.append(total)
        weights.append(np.full(size, 1 / (len(first) * size)))
        groups.append(fold.groups)
    _, codes = np.unique(np.concatenate(groups), return_inverse=True)
    return estimate(np.concatenate(columns, axis=1), np.concatenate(weights), codes)


def score(outcome: Outcome) -> Estimate:
    """Estimate the score of a cell."""
    return weighted([outcome], [1.0])


def difference(one: Outcome, other: Outcome) -> Estimate:
    """Estimate the score of one cell minus that of another on the same clips."""
    return weighted([one, other], [1.0, -1.0])


def share_difference(pairs: Sequence[tuple[Outcome, Outcome]]) -> Estimate:
    """Estimate left / right of the first pair minus left / right of the second, by the delta method.

    Args:
        pairs: two pairs of cells, all with the same clips.
    """
    outcomes, factors, value = list[Outcome](), list[float](), 0.0
    for sign, (left, right) in zip((1.0, -1.0), pairs, strict=True):
        above, below = score(left).mean, score(right).mean
        outcomes += [left, right]
        factors += [sign / below, -sign * above / below**2]
        value += sign * above / below
    return dataclasses.replace(weighted(outcomes, factors), mean=value)


def ties(outcomes: Mapping[str, Outcome], scores: Mapping[str, float]) -> set[str]:
    """Return the best cell and those that are not significantly different from it.

    Which one is the best is not known before. So p values are corrected for all pairs of cells, by Holm's method at
    5 %. A cell that cannot be compared with the best one stays.

    Args:
        outcomes: by cell.
        scores: of the same cells.
    """
    best = max(scores, key=lambda name: scores[name])
    pairs = [
        pair for pair in itertools.combinations(scores, 2) if not not_comparable(*(outcomes[name] for name in pair))
    ]
    corrected = holm([difference(outcomes[one], outcomes[other]).p for one, other in pairs])
    significant = [pair for pair, p in zip(pairs, corrected, strict=True) if best in pair and p < ALPHA]
    return {name for name in scores if name == best or not any(name in pair for pair in significant)}
