"""The probability that a run of one method is better than one of another, over the datasets that both have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.report.board.entries import method_page
from benchmark.report.board.read import Section
from benchmark.report.inference import Array
from benchmark.report.overall import FEWEST_DATASETS, Bounded, improvement, widely_complete, with_roles
from benchmark.report.render import row_names

MOST_METHODS = 16  # in one table


@dataclass(frozen=True)
class MethodMean:
    """A method of a table.

    Attributes:
        label: what people read.
        page: path of its page.
        mean: mean score over datasets and seeds, in [0, 1].
        seeds: number of its seeds.
    """

    label: str
    page: str
    mean: float
    seeds: int


@dataclass(frozen=True)
class Improvement:
    """Methods of one section, protocol and backbone, compared over the same datasets.

    Attributes:
        section: title of the section.
        protocol: label of the protocol.
        backbone: label of the backbone.
        datasets: labels of the datasets.
        methods: methods, the highest mean first.
        values: probability that the method of the row is better than that of the column; None on the diagonal.
        omitted: number of methods that are left out, with lower means.
    """

    section: str
    protocol: str
    backbone: str
    datasets: list[str]
    methods: list[MethodMean]
    values: list[list[Bounded | None]]
    omitted: int


def improvements(section: Section) -> Iterator[Improvement]:
    """Yield a table per protocol and backbone with two methods that are complete on the same two datasets.

    Few-shot trials are left out: numbers of shots are not independent datasets. Seeds of two methods need not be equal,
    as the runs of different submitters are not paired.

    Args:
        section: the section.
    """
    results = section.results
    cells = results.cells[results.cells["score"].notna() & results.cells["shots"].isna()]
    cells = with_roles(cells.assign(name=row_names(cells)), results)
    trials = results.trials[results.trials["cell"].isin(set(cells["cell"]))]
    by_seed = {str(cell): scores for cell, scores in trials.groupby("cell")}
    for (protocol, backbone), group in cells.groupby(["protocol", "backbone"], sort=False):
        table = widely_complete(group, "cell")
        if table.shape[0] < 2 or table.shape[1] < FEWEST_DATASETS:
            continue
        runs = {
            str(name): _runs([by_seed[cell] for cell in row])
            for name, row in zip(table.index, table.to_numpy(), strict=True)
        }
        known = {name: scores for name, scores in runs.items() if len(scores)}
        ordered = sorted(known, key=lambda name: -float(known[name].mean()))
        shown = ordered[:MOST_METHODS]
        families = {
            str(name): results.requests[cell].method.name
            for name, cell in zip(group["name"], group["cell"], strict=True)
        }
        yield Improvement(
            section=section.title,
            protocol=results.names.protocol(str(protocol)),
            backbone=results.names.backbone(str(backbone)),
            datasets=[results.names.dataset(str(name)) for name in table.columns],
            methods=[
                MethodMean(
                    results.row_labels.get(name, name), method_page(families[name]), float(known[name].mean()),
                    len(known[name]),
                )
                for name in shown
            ],
            values=_pairs({name: known[name] for name in shown}),
            omitted=len(ordered) - len(shown),
        )  # fmt: skip


def _runs(cells: list[pd.DataFrame]) -> Array:
    """Return (seeds, datasets) means over folds, of the seeds that a method has on all datasets.

    Args:
        cells: its trials, by dataset.
    """
    means = [rows.groupby("seed")["score"].mean() for rows in cells]
    seeds = sorted(set.intersection(*(set(mean.index) for mean in means)))
    return np.stack([mean.loc[seeds].to_numpy(float) for mean in means], axis=1)


def _pairs(runs: Mapping[str, Array]) -> list[list[Bounded | None]]:
    """Return the probabilities of all pairs; that of the reverse pair is one minus it."""
    names = list(runs)
    values: list[list[Bounded | None]] = [[None] * len(names) for _ in names]
    for row, one in enumerate(names):
        for column in range(row + 1, len(names)):
            found = improvement(runs[one], runs[names[column]])
            values[row][column] = found
            values[column][row] = Bounded(1 - found.value, 1 - found.high, 1 - found.low)
    return values
