"""What a few trained models on one test set say about a method: standard errors, intervals and p values.

A value of seed s and clip c is

    method + seed effect(s) + effect of the clip's group(g) + rest(s, c).

Both effects are random: another seed trains another model, and another test set has other recordings. A group is what
clips share, such as the recording that they were cut from. Seeds and groups are crossed, as participants and stimuli
are in experiments. The variance of the mean is that of two-way clustering,

    V = V(seeds) + V(groups) - V(seed x group),

where each term is the variance between the sums of a cluster; the last one is contained in both others. Without
imbalance this is the variance of the quasi-F test of crossed random effects. Folds are fixed: every clip is tested
once, and folds have equal weight.

V has a part of few degrees of freedom (seeds) and one of many (clips). The quantile is the mean of the two t quantiles,
weighted by the parts (Cochran and Cox 1957): such a test never rejects more often than it says. Satterthwaite's degrees
of freedom give narrower intervals, but with three seeds they reject up to 8 % instead of 5 %, and 1.9 % instead of the
0.18 % that Holm's method asks of eight methods. Over datasets, whose parts are alike, Satterthwaite's hold.

With one seed the first and last terms are unknown. What is left says how two trained models differ, not two methods.

Sources: Cameron, Gelbach and Miller 2011 (two-way clustering); Judd, Westfall and Kenny 2012 and Clark 1973 (crossed
random effects, quasi-F); Cochran and Cox 1957, section 4.14; Satterthwaite 1946; Owen 2007 (the pigeonhole bootstrap,
which these formulas replace).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import stdtrit

Array = npt.NDArray[np.floating[Any]]
LEVEL = 0.95
SEED_SD = 0.01 * math.sqrt(2)  # of a difference of two scores, each of which varies by one point between seeds
MOST_SEEDS = 100
DRAWS = 4000  # simulated tests for a power
TINY = 1e-100  # the smallest tail; smaller ones count as this


class Part(NamedTuple):
    """A part of a variance, and its degrees of freedom."""

    variance: float
    freedom: float


def quantile(parts: Sequence[Part], tail: float) -> float:
    """Return how many standard errors leave this probability above them; nan if the variance is zero or unknown."""
    variance = sum(part.variance for part in parts)
    if not variance > 0:
        return math.nan
    return -sum(part.variance * float(stdtrit(part.freedom, tail)) for part in parts if part.variance) / variance


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

    def parts(self, seeds: int, groups: int) -> tuple[Part, Part]:
        """Return the variance of the mean as a part of seeds and a part of clips.

        No term is counted twice, and the variance is not smaller than that of seeds or of groups alone.
        """
        of_clips = max(0.0, self.of_groups - min(self.of_both, self.of_seeds))
        return Part(self.of_seeds, seeds - 1), Part(of_clips, groups - 1)


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
        parts: of the variance of the mean; nan if it cannot be estimated (one group).
        seeds: number of seeds.
        clips: number of clips.
        groups: number of groups of clips.
        terms: of which the variance is made; None for a mean over datasets.
    """

    mean: float
    parts: tuple[Part, ...]
    seeds: int
    clips: int
    groups: int
    terms: Terms | None = None

    @property
    def about_methods(self) -> bool:
        """Return True if the error includes that of the seeds; else the estimate is one of trained models."""
        return self.seeds > 1

    @property
    def variance(self) -> float:
        """Variance of the mean; nan if it is unknown."""
        return sum(part.variance for part in self.parts)

    @property
    def freedom(self) -> float:
        """Degrees of freedom with which a t quantile gives this interval."""
        if len(self.parts) == 1:
            return self.parts[0].freedom
        possible = [part.freedom for part in self.parts if part.variance]
        if len(set(possible)) < 2:
            return possible[0] if possible else math.inf
        wanted = quantile(self.parts, (1 - LEVEL) / 2)
        return float(brentq(lambda freedom: -stdtrit(freedom, (1 - LEVEL) / 2) - wanted, min(possible), max(possible)))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return both ends of the interval; nan if the variance is unknown."""
        if self.variance == 0:
            return self.mean, self.mean
        half = quantile(self.parts, (1 - level) / 2) * math.sqrt(self.variance)
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """p value of the two-sided test that the mean is zero; 1 if all values are zero, nan if it is unknown."""
        if math.isnan(self.variance):
            return math.nan
        if self.variance == 0:
            return 1.0 if self.mean == 0 else 0.0
        size = abs(self.mean) / math.sqrt(self.variance)
        if quantile(self.parts, TINY) <= size:
            return 2 * TINY
        return 2 * math.exp(
            brentq(lambda log: quantile(self.parts, math.exp(log)) - size, math.log(TINY), math.log(0.5))
        )


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
        return Estimate(mean, (Part(math.nan, math.nan),), seeds, clips, count)
    correction = count / (count - 1)
    of_groups = correction * float(np.sum(over_seeds**2))
    if seeds == 1:
        terms = Terms(math.nan, of_groups, math.nan)
        return Estimate(mean, (Part(of_groups, count - 1),), seeds, clips, count, terms)
    of_seeds = float(np.sum((by_seed - mean) ** 2)) / (seeds * (seeds - 1))
    rest = by_group - np.outer(by_seed - mean, shares) - over_seeds
    of_both = correction * float(np.sum(rest**2)) / (seeds * (seeds - 1))
    terms = Terms(of_seeds, of_groups, of_both)
    return Estimate(mean, terms.parts(seeds, count), seeds, clips, count, terms)


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
        parts = components.terms(seeds).parts(seeds, found.groups)
        if quantile(parts, (1 - LEVEL) / 2) * math.sqrt(sum(part.variance for part in parts)) < distance:
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

    The variance between few seeds is itself a chance result: a noncentral t promises too much.
    """
    rng = np.random.default_rng(seeds)
    expected, of_clips = terms.parts(seeds, groups)
    of_seeds = expected.variance * rng.chisquare(seeds - 1, DRAWS) / (seeds - 1)
    variance = of_seeds + of_clips.variance
    sums = of_seeds * stdtrit(seeds - 1, 0.5 + LEVEL / 2)
    sums += of_clips.variance * stdtrit(groups - 1, 0.5 + LEVEL / 2)
    observed = rng.normal(difference, math.sqrt(expected.variance + of_clips.variance), DRAWS)
    return float(np.mean(observed > sums / np.sqrt(np.maximum(variance, TINY))))


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
    freedom = variance**2 / spread if spread else math.inf  # Satterthwaite's
    return Estimate(
        mean=float(np.mean([each.mean for each in estimates.values()])),
        parts=(Part(variance, freedom),),
        seeds=min(each.seeds for each in estimates.values()),
        clips=sum(each.clips for each in estimates.values()),
        groups=sum(each.groups for each in estimates.values()),
    )


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for multiple tests by Holm's method; a value that is nan stays nan and counts.

    statsmodels does the same, but collects garbage in each call: half a second in a report over many records.
    """
    known = np.nan_to_num(np.asarray(values, float), nan=1.0)
    order = np.argsort(known, kind="stable")
    corrected = np.empty_like(known)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1)))
    return [math.nan if math.isnan(value) else float(p) for value, p in zip(values, corrected, strict=True)]
