"""How many seeds find a difference of a given size, from the spreads in the records."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from benchmark.report.inference import SEED_SD, Components, Estimate, seeds_for
from benchmark.report.results import Results

POWER = 0.8
DISAGREEMENT = 0.1  # share of the clips on which two methods disagree: the default of the spread over clips


@dataclass(frozen=True)
class Spread:
    """How the difference of two methods varies on a dataset.

    Attributes:
        seed: variance between the models of two seeds on one fold.
        clips: variance of one clip that more seeds do not reduce, larger where clips share recordings.
        rest: variance of one clip between answers of models on it.
        clips_per_group: number of clips that share a recording, on average.
        source: what they come from.
    """

    seed: float
    clips: float
    rest: float
    clips_per_group: float
    source: str

    @property
    def seed_sd(self) -> float:
        """Standard deviation between seeds, on one fold."""
        return math.sqrt(self.seed)


DEFAULT = Spread(
    SEED_SD**2, DISAGREEMENT, 0.0, 1.0,
    f"assumed: scores vary by 1 point between seeds, methods disagree on {DISAGREEMENT:.0%} of the clips",
)  # fmt: skip


def spread_of(results: Results | None, backbone: str, dataset: str) -> Spread:
    """Return the median spreads over the pairs of complete cells of several seeds; without any, what is assumed.

    Args:
        results: a results folder; None if there is none.
        backbone: as in its table cells.
        dataset: as in its table cells.
    """
    if results is None:
        return DEFAULT
    cells = results.cells
    cells = cells[(cells["backbone"] == backbone) & (cells["dataset"] == dataset) & cells["score"].notna()]
    found: list[tuple[Estimate, int]] = []
    for _, group in cells.groupby(["protocol", "settings"], sort=False):
        rows = [row for _, row in group.iterrows()]
        for place, first in enumerate(rows):
            estimates = (results.difference(first, second) for second in rows[place + 1 :])
            found += [(each, len(first["folds"].split())) for each in estimates if each is not None and each.seeds > 1]
    if not found:
        return DEFAULT
    components = [(Components.of(each, SEED_SD), each, folds) for each, folds in found]
    pairs = f"{len(found)} pairs of methods in the records" if len(found) > 1 else "one pair of methods in the records"
    return Spread(
        seed=statistics.median(parts.seed * folds for parts, _, folds in components),
        clips=statistics.median(parts.clips * each.clips for parts, each, _ in components),
        rest=statistics.median(parts.rest * each.clips for parts, each, _ in components),
        clips_per_group=statistics.median(each.clips / each.groups for _, each, _ in components),
        source=pairs,
    )


def deciding(points: float, spread: Spread, clips: int, folds: int = 1) -> int | None:
    """Return how many seeds find a true difference with a probability of 80 %; None if the clips are too few.

    Args:
        points: the difference.
        spread: how differences vary.
        clips: number of test clips in all folds.
        folds: number of folds, each with its own model for every seed.
    """
    components = Components(spread.seed / folds, spread.clips / clips, spread.rest / clips)
    return seeds_for(points / 100, components, round(clips / spread.clips_per_group), POWER)
