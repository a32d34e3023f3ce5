"""What a few trained models on one test set say about a method: standard errors, intervals and p values.

A value of seed s and clip c is

    method + seed effect(s) + effect of the clip's group(g) + rest(s, c).

Both effects are random: another seed trains another model, and another test set has other recordings. A group is what
clips share, such as the recording that they were cut from. Seeds and groups are crossed, as participants and stimuli
are in experiments. The variance of the mean is that of two-way clustering,

    V = V(seeds) + V(groups) - V(seed x group),

where each term is the variance between the sums of a cluster; the last one is contained in both others. Without
imbalance this is the variance of the quasi-F test of crossed random effects. The t quantile has Satterthwaite's degrees
of freedom, of which three seeds give few. Folds are fixed: every clip is tested once, and folds have equal weight.

With one seed the first and last terms are unknown. What is left says how two trained models differ, not two methods.

Sources: Cameron, Gelbach and Miller 2011 (two-way clustering); Judd, Westfall and Kenny 2012 and Clark 1973 (crossed
random effects, quasi-F); Satterthwaite 1946; Owen 2007 (the pigeonhole bootstrap, which these formulas replace).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

Array = npt.NDArray[np.floating[Any]]
LEVEL = 0.95
SEED_SD = 0.01 * math.sqrt(2)  # of a difference of two scores, each of which varies by one point between seeds
MOST_SEEDS = 100
DRAWS = 4000  # simulated tests for a power
TINY = 1e-300  # instead of zero, to divide by


@dataclass(frozen=True)
class Terms:
    """Variances of a mean: between seeds, between groups of clips, and of both, which is part of the first two.

    Attributes:
        of_seeds: nan with one seed.
        of_groups: of clips.
        of_both: nan with one seed.
    """

    of_seeds: float
    of_groups: float
    of_both: float

    def variance(self) -> float:
        """Return the variance of the mean."""
        return max(self.of_seeds + self.of_groups - self.of_both, self.of_seeds, self.of_groups)

    def freedom(self, seeds: int, groups: int) -> float:
        """Return Satterthwaite's degrees of freedom of the variance."""
        parts = (
            self.of_seeds**2 / (seeds - 1),
            self.of_groups**2 / (groups - 1),
            self.of_both**2 / ((seeds - 1) * (groups - 1)),
        )
        return self.variance() ** 2 / sum(parts) if any(parts) else math.inf


@dataclass(frozen=True)
class Components:
    """How a value varies, as variances of a mean over one seed.

    Attributes:
        seed: between the models of different seeds.
        clips: between groups of clips, equally for all seeds: more seeds do not reduce it.
        rest: between answers of one model and another on the same clips.
    """

    seed: float
    clips: float
    rest: float

    @classmethod
    def of(cls, found: Estimate, seed_sd: float) -> Components:
        """Return the components of an estimate; one seed shows only those of clips and rest together.

        Args:
            found: an estimate on one dataset.
            seed_sd: standard deviation between seeds, where the estimate is of one.
        """
        assert found.terms is not None
        terms, seeds = found.terms, found.seeds
        if seeds == 1:
            return cls(seed_sd**2, terms.of_groups, 0.0)
        seed = max(0.0, terms.of_seeds - terms.of_both)
        return cls(seeds * seed, max(0.0, terms.of_groups - terms.of_both), seeds * terms.of_both)

    def terms(self, seeds: int) -> Terms:
        """Return the terms of a mean over this many seeds, as they are expected."""
        of_both = self.rest / seeds
        return Terms(self.seed / seeds + of_both, self.clips + of_both, of_both)


@dataclass(frozen=True)
class Estimate:
    """A mean with what is known about its error.

    Attributes:
        mean: weighted mean over seeds and clips.
        variance: of the mean; nan if it cannot be estimated (one group).
        freedom: degrees of freedom of the variance.
        seeds: number of seeds.
        clips: number of clips.
        groups: number of groups of clips.
        terms: of which the variance is made; None for a mean over datasets.
    """

    mean: float
    variance: float
    freedom: float
    seeds: int
    clips: int
    groups: int
    terms: Terms | None = None

    @property
    def about_methods(self) -> bool:
        """Return True if the error includes that of the seeds; else the estimate is one of trained models."""
        return self.seeds > 1

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return both ends of the interval; nan if the variance is unknown."""
        half = float(student.ppf(0.5 + level / 2, self.freedom)) * math.sqrt(self.variance)
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """p value of the two-sided test that the mean is zero; 1 if all values are zero, nan if it is unknown."""
        if self.variance == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * student.sf(abs(self.mean) / math.sqrt(self.variance), self.freedom))


def estimate(values: Array, weights: Array, groups: npt.NDArray[np.integer[Any]]) -> Estimate:
    """Estimate a mean over seeds and clips.

    Args:
        values: (seeds, clips).
        weights: (clips,) with sum one.
        groups: (clips,) numbers of the groups, from 0.
    """
    seeds, clips = values.shape
    count = int(groups.max()) + 1
    by_seed = values @ weights
    mean = float(by_seed.mean())
    shares = np.bincount(groups, weights, count)
    deviations = (values - mean) * weights
    by_group = np.stack([np.bincount(groups, row, count) for row in deviations])  # (seeds, groups)
    over_seeds = by_group.mean(axis=0)
    if count < 2:
        return Estimate(mean, math.nan, math.nan, seeds, clips, count)
    correction = count / (count - 1)
    of_groups = correction * float(np.sum(over_seeds**2))
    if seeds == 1:
        return Estimate(mean, of_groups, count - 1, seeds, clips, count, Terms(math.nan, of_groups, math.nan))
    of_seeds = float(np.sum((by_seed - mean) ** 2)) / (seeds * (seeds - 1))
    rest = by_group - np.outer(by_seed - mean, shares) - over_seeds
    of_both = correction * float(np.sum(rest**2)) / (seeds * (seeds - 1))
    terms = Terms(of_seeds, of_groups, of_both)
    return Estimate(mean, terms.variance(), terms.freedom(seeds, count), seeds, clips, count, terms)


def deciding_seeds(found: Estimate, distance: float, seed_sd: float = SEED_SD) -> int | None:
    """Return about how many seeds would put the end of the interval at this distance from the mean; None if none would.

    The clips stay those that there are.

    Args:
        found: an estimate on one dataset.
        distance: of the mean from what it is compared with.
        seed_sd: standard deviation of the value between seeds, for an estimate of one seed, which cannot show it.
    """
    components = Components.of(found, seed_sd)
    for seeds in range(found.seeds + 1, MOST_SEEDS + 1):
        terms = components.terms(seeds)
        limit = student.ppf(0.5 + LEVEL / 2, terms.freedom(seeds, found.groups))
        if limit * math.sqrt(terms.variance()) < distance:
            return seeds
    return None


def seeds_for(difference: float, components: Components, groups: int, power: float) -> int | None:
    """Return how many seeds find a true difference with this probability; None if no number does.

    Args:
        difference: the true difference.
        components: how it varies.
        groups: number of groups of clips.
        power: probability that the test rejects.
    """
    if groups < 2:
        return None
    for seeds in range(2, MOST_SEEDS + 1):
        if _power(difference, seeds, components.terms(seeds), groups) >= power:
            return seeds
    return None


def _power(difference: float, seeds: int, terms: Terms, groups: int) -> float:
    """Return the probability that the test finds a difference, by simulation.

    The variance between few seeds is itself a chance result, and with it the degrees of freedom: a noncentral t with
    the expected ones promises too much.
    """
    rng = np.random.default_rng(seeds)
    of_seeds = terms.of_seeds * rng.chisquare(seeds - 1, DRAWS) / (seeds - 1)
    variance = np.maximum(of_seeds + terms.of_groups - terms.of_both, np.maximum(of_seeds, terms.of_groups))
    parts = of_seeds**2 / (seeds - 1) + terms.of_groups**2 / (groups - 1)
    freedom = variance**2 / np.maximum(parts + terms.of_both**2 / ((seeds - 1) * (groups - 1)), TINY)
    observed = rng.normal(difference, math.sqrt(terms.variance()), DRAWS)
    return float(np.mean(observed > student.ppf(0.5 + LEVEL / 2, np.maximum(freedom, 1.0)) * np.sqrt(variance)))


def combined(estimates: Mapping[str, Estimate], related: Sequence[Collection[str]] = ()) -> Estimate:
    """Return the mean over datasets.

    Datasets are independent: they share neither clips nor trained models. Related ones share an unknown part of their
    recordings; their errors count as one, which gives the widest interval.

    Args:
        estimates: an estimate per dataset.
        related: datasets that share recordings.
    """
    grouped = [[name for name in group if name in estimates] for group in related]
    alone = [[name] for name in estimates if not any(name in group for group in grouped)]
    terms, freedoms = [], []
    for names in [*alone, *filter(None, grouped)]:
        members = [estimates[name] for name in names]
        terms.append((sum(math.sqrt(member.variance) for member in members) / len(estimates)) ** 2)
        freedoms.append(min(member.freedom for member in members))
    variance = sum(terms)
    spread = sum(term**2 / freedom for term, freedom in zip(terms, freedoms, strict=True))
    return Estimate(
        mean=float(np.mean([each.mean for each in estimates.values()])),
        variance=variance,
        freedom=variance**2 / spread if spread else math.inf,
        seeds=min(each.seeds for each in estimates.values()),
        clips=sum(each.clips for each in estimates.values()),
        groups=sum(each.groups for each in estimates.values()),
    )


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for multiple tests by Holm's method; a value that is nan stays nan and counts."""
    if not values:
        return []
    corrected = multipletests(np.nan_to_num(np.asarray(values, float), nan=1.0), method="holm")[1]
    return [math.nan if math.isnan(value) else float(p) for value, p in zip(values, corrected, strict=True)]
