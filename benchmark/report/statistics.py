"""Paired comparisons of methods: bootstrap intervals, tests, tie groups.

What a metric is the mean of (hits by clip, average precision by class) is resampled together with the seeds; all
methods of a dataset share the draws, so that their differences are paired.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import wilcoxon
from statsmodels.stats.multitest import multipletests

Array = npt.NDArray[np.floating[Any]]
Unit = Literal["clips", "classes"]
DRAWS = 2000
COVERAGE = (2.5, 97.5)  # per cent
ALPHA = 0.05


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % bootstrap interval; `draws` are the resampled means."""

    mean: float
    low: float
    high: float
    parts: int
    seeds: int
    draws: Array


@dataclass(frozen=True)
class Difference(Interval):
    """Of two methods, first less second; `p` is of Wilcoxon's signed-rank test over the parts, seeds averaged."""

    p: float


class Paired:
    """Methods on one dataset under one protocol and backbone.

    Args:
        parts: by method and seed, (parts,) values in the same order everywhere; their mean is the score.
    """

    def __init__(self, parts: Mapping[str, Mapping[int, Array]]) -> None:
        every = [values for by_seed in parts.values() for values in by_seed.values()]
        known = np.all([np.isfinite(values) for values in every], axis=0)
        self._parts = {
            name: {seed: values[known] for seed, values in by_seed.items()} for name, by_seed in parts.items()
        }
        places = [(name, seed) for name, by_seed in self._parts.items() for seed in by_seed]
        stacked = np.stack([self._parts[name][seed] for name, seed in places], axis=1).astype(np.float32)
        means = _weights(int(known.sum())) @ stacked
        self._means: dict[str, dict[int, Array]] = {name: {} for name in self._parts}
        for (name, seed), column in zip(places, means.T, strict=True):
            self._means[name][seed] = column

    def interval(self, name: str) -> Interval:
        """The score of a method."""
        values, means = self._parts[name], self._means[name]
        return Interval(**_summary([values[seed] for seed in values], [means[seed] for seed in values]))

    def difference(self, name: str, other: str) -> Difference | None:
        """`name` less `other` over the seeds that both have; None where they share none."""
        seeds = sorted(self._parts[name].keys() & self._parts[other].keys())
        if not seeds:
            return None
        gaps = [self._parts[name][seed] - self._parts[other][seed] for seed in seeds]
        means = [self._means[name][seed] - self._means[other][seed] for seed in seeds]
        over_seeds = np.mean(gaps, axis=0)
        p = float(wilcoxon(over_seeds, method="asymptotic").pvalue) if np.any(over_seeds) else 1.0
        return Difference(**_summary(gaps, means), p=p)


def holm(values: Sequence[float]) -> list[float]:
    """p values corrected for their number by Holm's method."""
    return [float(value) for value in multipletests(values, method="holm")[1]] if values else []


def ties(paired: Paired, scores: Mapping[str, float]) -> set[str]:
    """The best method and those that cannot be told from it at 5 %, corrected by Holm's method."""
    best = max(scores, key=lambda name: scores[name])
    others = [name for name in scores if name != best]
    gaps = [paired.difference(best, name) for name in others]
    corrected = holm([1.0 if gap is None else gap.p for gap in gaps])
    return {best, *(name for name, p in zip(others, corrected, strict=True) if p >= ALPHA)}


def mean_of(differences: Sequence[Interval]) -> Interval:
    """The mean over datasets, whose draws are independent."""
    draws = np.mean([each.draws for each in differences], axis=0)
    return Interval(
        mean=float(np.mean([each.mean for each in differences])),
        **_bounds(draws),
        parts=sum(each.parts for each in differences),
        seeds=min(each.seeds for each in differences),
        draws=draws,
    )


def _summary(values: Sequence[Array], means: Sequence[Array]) -> dict[str, Any]:
    draws = np.einsum("sd,ds->d", np.array(means), _weights(len(means), salt=1))
    return {
        "mean": float(np.mean(values)),
        **_bounds(draws),
        "parts": len(values[0]),
        "seeds": len(values),
        "draws": draws,
    }


def _bounds(draws: Array) -> dict[str, float]:
    low, high = np.percentile(draws, COVERAGE)
    return {"low": float(low), "high": float(high)}


@functools.lru_cache(maxsize=4)
def _weights(count: int, salt: int = 0) -> Array:
    """(draws, count) shares of each part in a resampled mean; the same in every process."""
    rng = np.random.default_rng([count, salt])
    shares: Array = (rng.multinomial(count, np.full(count, 1 / count), size=DRAWS) / count).astype(np.float32)
    return shares
