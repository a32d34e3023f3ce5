"""Methods over several datasets: interquartile mean, probability of improvement, performance profile.

Source: Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice". Their package
rliable is not used: it draws from numpy's global generator, so that no report could be written twice alike.

Intervals have the standard error of the stratified bootstrap over seeds: the datasets are those that there are, each is
a stratum. n draws of n seeds have a variance that is too small by the factor (n - 1) / n; it is made up for (Rao and Wu
1988). The t quantile has n - 1 degrees of freedom for each dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit
from scipy.stats import trim_mean

from benchmark.report.inference import LEVEL, Array
from benchmark.report.render import row_names
from benchmark.report.results import ROLES, Results, in_role

FEWEST_DATASETS = 2
DRAWS = 2000
TRIMMED = 0.25  # at each end, of the interquartile mean
SEED = 0  # of the draws: a report is the same each time


@dataclass(frozen=True)
class Runs:
    """What methods scored with one backbone under one protocol, on the same datasets and seeds.

    Attributes:
        protocol: name of the protocol.
        backbone: name of the backbone.
        datasets: names.
        seeds: seeds that all methods have on all datasets.
        scores: (seeds, datasets) mean over folds, in [0, 1], by method.
    """

    protocol: str
    backbone: str
    datasets: list[str]
    seeds: list[int]
    scores: Mapping[str, Array]


@dataclass(frozen=True)
class Bounded:
    """A value with its 95 % interval; nan with one seed. Each is a number or an array."""

    value: Any
    low: Any
    high: Any


def all_runs(results: Results) -> Iterator[Runs]:
    """Yield the runs of each protocol and backbone, see `widely_complete` for the choice of datasets and methods.

    Left out: a backbone with fewer than two datasets or methods, or without a seed that all of them have, and few-shot
    trials, whose numbers of shots are not independent datasets. Where settings were chosen, a method has two rows, see
    `with_roles`.
    """
    cells = results.cells[results.cells["score"].notna() & results.cells["shots"].isna()]
    cells = with_roles(cells.assign(name=row_names(cells)), results)
    trials = results.trials[results.trials["cell"].isin(set(cells["cell"]))]
    by_seed = trials.groupby(["cell", "seed"])["score"].mean()
    for (protocol, backbone), group in cells.groupby(["protocol", "backbone"], sort=False):
        table = widely_complete(group, "cell")
        if table.shape[0] < 2 or table.shape[1] < FEWEST_DATASETS:
            continue
        seeds = sorted(set.intersection(*(set(by_seed[cell].index) for cell in table.to_numpy().flat)))
        if seeds:
            scores = {
                str(name): np.stack([by_seed[cell].loc[seeds].to_numpy(float) for cell in row], axis=1)
                for name, row in zip(table.index, table.to_numpy(), strict=True)
            }
            yield Runs(str(protocol), str(backbone), list(table.columns), seeds, scores)


def with_roles(cells: pd.DataFrame, results: Results, labels: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return cells with the column `role`, and a row per role of those that a choice of a setting is about.

    The setting that was chosen is `full (tuned)` on every dataset, and the default beside it `full (default)`. A
    default that was chosen is both.

    Args:
        cells: table cells with the column `name`.
        results: their results.
        labels: what people read in place of the names of rows, if the names of the cells are labels.
    """
    roles = [results.roles.get(cell, [("", "")]) for cell in cells["cell"]]
    rows = cells.assign(role=pd.Series(roles, index=cells.index, dtype=object)).explode("role", ignore_index=True)
    of_roles = {role: in_role(*role) for role in rows["role"]}
    of_roles = {role: (labels or {}).get(name, name) for role, name in of_roles.items()}
    names = [of_roles[role] or name for role, name in zip(rows["role"], rows["name"], strict=True)]
    return rows.assign(name=names, role=[role for _, role in rows["role"]])


def counterpart(name: str, other: str) -> str:
    """Return the row of a method that another row is compared with: `full (tuned)` for `lora (tuned)` and `full`."""
    return next((in_role(other, role) for role in ROLES if name.endswith(in_role("", role))), other)


def widely_complete(cells: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return a value of complete cells as a table, a row per method and a column per dataset, without gaps.

    A dataset counts if at least half as many methods are complete on it as on any, and a method if it is complete on
    all of these: one method on one more dataset does not empty the table.

    Args:
        cells: complete cells of one protocol and backbone, with the column `name`.
        value: the column to show.
    """
    table = cells.pivot_table(index="name", columns="dataset", values=value, aggfunc="first", sort=False)
    methods = table.notna().sum()
    complete: pd.DataFrame = table.loc[:, methods >= methods.max() / 2].dropna()
    return complete


def interquartile_mean(scores: Array) -> Bounded:
    """Return the mean of the middle half of all scores.

    Args:
        scores: (seeds, datasets).
    """
    return _bounded(lambda one: trim_mean(one.reshape(len(one), -1), TRIMMED, axis=1), scores)


def improvement(scores: Array, other: Array) -> Bounded:
    """Return the probability that a run is better than one of another method, mean over datasets; ties count half.

    Args:
        scores: (seeds, datasets).
        other: the same of the other method, maybe of another number of seeds.
    """
    better = (scores[:, None] > other) + 0.5 * (scores[:, None] == other)  # every seed of one with every seed of other

    def share(one: Array, two: Array) -> Array:
        """Return the probability for (draws, seeds, datasets) weights of the seeds."""
        over_one = np.moveaxis(one, 2, 0) @ np.moveaxis(better, 2, 0)  # (datasets, draws, seeds of other)
        return np.asarray(np.mean(np.sum(over_one * np.moveaxis(two, 2, 0), axis=2), axis=0))

    def drawn() -> Array:
        rng = np.random.default_rng(SEED)
        return share(*(_counts(_drawn(rng, each), len(each)) / len(each) for each in (scores, other)))

    value = share(*(np.full((1, *each.shape), 1 / len(each)) for each in (scores, other)))[0]
    return _interval(value, drawn, min(len(scores), len(other)), scores.shape[1])


def profile(scores: Array, levels: Array) -> Bounded:
    """Return the share of runs that score more than each level, as (levels,) arrays.

    Args:
        scores: (seeds, datasets).
        levels: (levels,) scores.
    """
    return _bounded(lambda one: np.mean(one[..., None] > levels, axis=(1, 2)), scores)


def _bounded(statistic: Callable[[Array], Array], scores: Array) -> Bounded:
    """Return a statistic with its interval.

    Args:
        statistic: of a (draws, seeds, datasets) array; its first axis is that of the draws.
        scores: (seeds, datasets).
    """
    rng, strata = np.random.default_rng(SEED), np.arange(scores.shape[1])
    return _interval(statistic(scores[None])[0], lambda: statistic(scores[_drawn(rng, scores), strata]), *scores.shape)


def _interval(value: Any, drawn: Callable[[], Array], seeds: int, datasets: int) -> Bounded:
    """Return a value with the interval that the values of the draws give it.

    Args:
        value: a number or an array.
        drawn: returns its values, the first axis is that of the draws; not called with one seed.
        seeds: number of seeds, the smaller one if two methods have different numbers.
        datasets: number of datasets.
    """
    if seeds < 2:
        return Bounded(value, np.full_like(value, np.nan)[()], np.full_like(value, np.nan)[()])
    error = drawn().std(axis=0, ddof=1) * np.sqrt(seeds / (seeds - 1))
    half = stdtrit(datasets * (seeds - 1), 0.5 + LEVEL / 2) * error
    return Bounded(value, np.maximum(value - half, 0.0), np.minimum(value + half, 1.0))


def _drawn(rng: np.random.Generator, scores: Array) -> npt.NDArray[np.int64]:
    """Return the seeds of each draw, as a (draws, seeds, datasets) array."""
    return rng.integers(0, len(scores), (DRAWS, *scores.shape))


def _counts(drawn: npt.NDArray[np.int64], seeds: int) -> Array:
    """Return how often each seed was drawn, as an array of the same shape."""
    draws, _, datasets = drawn.shape
    first = seeds * (np.arange(draws)[:, None] * datasets + np.arange(datasets))  # place of each draw and dataset
    found = np.bincount((drawn + first[:, None]).ravel(), minlength=drawn.size)
    return np.moveaxis(found.reshape(draws, datasets, seeds), 2, 1).astype(float)
