"""How many seeds decide a difference of a given size, from the spreads in the records."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from benchmark.report.inference import SEED_SD, seeds_for
from benchmark.report.results import Results

POWER = 0.8
DISAGREEMENT = 0.1  # share of the clips on which two methods disagree: the default of the spread over clips


@dataclass(frozen=True)
class Spread:
    """How the difference of two methods varies on a dataset.

    Attributes:
        seeds: standard deviation between seeds.
        clip: standard deviation over clips: of a difference on one clip, larger where clips share recordings.
        source: what they come from.
    """

    seeds: float
    clip: float
    source: str


DEFAULT = Spread(
    SEED_SD,
    math.sqrt(DISAGREEMENT),
    f"assumed: scores vary by 1 point between seeds, methods disagree on {DISAGREEMENT:.0%} of the clips",
)


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
    found = []
    for _, group in cells.groupby(["protocol", "settings"], sort=False):
        rows = [row for _, row in group.iterrows()]
        for place, first in enumerate(rows):
            found += [results.difference(first, second) for second in rows[place + 1 :]]
    known = [each for each in found if each is not None and each.seeds > 1]
    if not known:
        return DEFAULT
    pairs = f"{len(known)} pairs of methods in the records" if len(known) > 1 else "one pair of methods in the records"
    return Spread(
        statistics.median(math.sqrt(each.seeds * each.of_seeds) for each in known),
        statistics.median(math.sqrt(each.clips * each.of_groups) for each in known),
        pairs,
    )


def deciding(points: float, spread: Spread, clips: int) -> int | None:
    """Return how many seeds find a true difference with a probability of 80 %; None if the clips are too few.

    Args:
        points: the difference.
        spread: how differences vary.
        clips: number of test clips.
    """
    return seeds_for(points / 100, spread.seeds, spread.clip**2 / clips, clips, POWER)
