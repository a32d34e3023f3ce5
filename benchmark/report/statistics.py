"""Paired comparisons of methods: bootstrap intervals, significance tests, and ties with the best method.

A metric is a mean over parts: hits over clips, or average precision over classes. Parts and seeds are resampled. All
methods of a dataset share the draws, so that their differences are paired.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
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
    """A mean with its 95 % bootstrap interval.

    Attributes:
        mean: the mean.
        low: lower end of the interval.
        high: upper end of the interval.
        parts: number of clips or classes.
        seeds: number of seeds.
        draws: (draws,) resampled means.
    """

    mean: float
    low: float
    high: float
    parts: int
    seeds: int
    draws: Array


@dataclass(frozen=True)
class Difference(Interval):
    """The score of one method minus that of another.

    Attributes:
        p: p value of Wilcoxon's signed-rank test over the parts, after averaging over seeds.
    """

    p: float


class Paired:
    """Comparison of methods on one dataset with one protocol and backbone.

    Args:
        parts: (parts,) values by method and seed, in the same order for all; their mean is the score. Parts that are
            not finite in one of them are left out of all.
    """

    def __init__(self, parts: Mapping[str, Mapping[int, Array]]) -> None:
        all_values = [values for by_seed in parts.values() for values in by_seed.values()]
        known = np.all([np.isfinite(values) for values in all_values], axis=0)
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
        """Return the score of a method with its interval."""
        values, means = self._parts[name], self._means[name]
        return Interval(**_summary([values[seed] for seed in values], [means[seed] for seed in values]))

    def difference(self, name: str, other: str) -> Difference | None:
        """Return the score of `name` minus that of `other` over the seeds of both; None if they share no seed."""
        seeds = sorted(self._parts[name].keys() & self._parts[other].keys())
        if not seeds:
            return None
        values = [self._parts[name][seed] - self._parts[other][seed] for seed in seeds]
        means = [self._means[name][seed] - self._means[other][seed] for seed in seeds]
        over_seeds = np.mean(values, axis=0)
        p = float(wilcoxon(over_seeds, method="asymptotic").pvalue) if np.any(over_seeds) else 1.0
        return Difference(**_summary(values, means), p=p)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for multiple tests by Holm's method."""
    return [float(value) for value in multipletests(values, method="holm")[1]] if values else []


def ties(paired: Paired, scores: Mapping[str, float]) -> set[str]:
    """Return the best method and those not significantly different from it (5 %, corrected by Holm's method)."""
    best = max(scores, key=lambda name: scores[name])
    others = [name for name in scores if name != best]
    differences = [paired.difference(best, name) for name in others]
    corrected = holm([1.0 if difference is None else difference.p for difference in differences])
    return {best, *(name for name, p in zip(others, corrected, strict=True) if p >= ALPHA)}


def mean_of(differences: Mapping[str, Interval], related: Sequence[Collection[str]]) -> Interval:
    """Return the mean over datasets with its interval; see `pooled_draws` for what counts as independent.

    Args:
        differences: an interval per dataset.
        related: datasets that share recordings.
    """
    draws = pooled_draws({dataset: difference.draws for dataset, difference in differences.items()}, related)
    return Interval(
        mean=float(np.mean([difference.mean for difference in differences.values()])),
        **_bounds(draws),
        parts=sum(difference.parts for difference in differences.values()),
        seeds=min(difference.seeds for difference in differences.values()),
        draws=draws,
    )


def pooled_draws(draws: Mapping[str, Array], related: Sequence[Collection[str]]) -> Array:
    """Return (draws,) resampled means over datasets.

    Datasets are independent samples: they share neither clips nor trained models. Their draws are not: equal numbers of
    clips or seeds are resampled by equal weights. So the draws of each dataset are shuffled. Related datasets share an
    unknown part of their recordings; their draws are in the same order, which gives the widest interval.

    Args:
        draws: (draws,) resampled means of each dataset.
        related: datasets that share recordings.
    """
    rng = np.random.default_rng(len(draws))
    grouped = [[name for name in group if name in draws] for group in related]
    alone = [[name] for name in draws if not any(name in group for group in grouped)]
    total = np.zeros(DRAWS)
    for group in [*alone, *filter(None, grouped)]:
        total += rng.permutation(np.sum([np.sort(draws[name]) for name in group], axis=0))
    mean: Array = total / len(draws)
    return mean


def _summary(values: Sequence[Array], means: Sequence[Array]) -> dict[str, Any]:
    """Return the fields of an `Interval`.

    Args:
        values: (parts,) of each seed.
        means: (draws,) resampled means of each seed.
    """
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
    """Return (draws, count) weights of the parts in resampled means; the same in every process.

    Args:
        count: number of parts.
        salt: number that makes other draws for the same count.
    """
    rng = np.random.default_rng([count, salt])
    shares: Array = (rng.multinomial(count, np.full(count, 1 / count), size=DRAWS) / count).astype(np.float32)
    return shares
