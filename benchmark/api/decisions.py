"""How many seeds a grid needs to distinguish methods, and what they cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.errors import ArgumentError
from benchmark.planning.estimate import Estimate, split_sizes
from benchmark.planning.expand import Expansion
from benchmark.records.store import ResultStore
from benchmark.report.power import deciding, spread_of
from benchmark.report.write import read_results
from benchmark.units import duration, plural


@dataclass(frozen=True)
class Decision:
    """What finds a difference on one dataset with a probability of 80 %.

    Attributes:
        backbone: name.
        dataset: name.
        points: size of the difference.
        folds: number of folds of each seed.
        clips: number of test clips in these folds.
        seeds: how many find it; None if no number does.
        hours: time of one method with these seeds and folds; None if unknown.
        seed_sd: points by which a difference of two methods varies between seeds on one fold (standard deviation).
        source: what the spreads come from.
    """

    backbone: str
    dataset: str
    points: float
    folds: int
    clips: int
    seeds: int | None
    hours: float | None
    seed_sd: float
    source: str

    def __str__(self) -> str:
        needs = (
            f"no number of seeds, its {self.clips:,} clips are too few"
            if self.seeds is None
            else f"{plural(self.seeds, 'seed')} x {plural(self.folds, 'fold')}"
        )
        hours = "" if self.hours is None else f", {duration(3600 * self.hours)} per method"
        size = f"{self.points:g} {'point' if self.points == 1 else 'points'}"
        return f"{size} on {self.backbone} {self.dataset}: {needs}{hours} (power 80 %; {self.source})"


def decisions(
    points: float, expansion: Expansion, store: ResultStore, estimates: Mapping[str, Estimate]
) -> list[Decision]:
    """Return what would decide a difference, for each backbone and dataset, with one fold and with all of the grid.

    Args:
        points: size of the difference.
        expansion: trials of a grid.
        store: a results folder, whose records have the spreads.
        estimates: of the trials that are not finished, by id.

    Raises:
        ArgumentError: the difference is not positive.
    """
    if not points > 0:
        raise ArgumentError("power", "expected a number above 0: a difference in points", points)
    results = read_results(store) if store.exists else None
    found = []
    groups: dict[tuple[str, str], list[str]] = {}
    by_id = {request.id: request for request in expansion.requests}
    for request in expansion.requests:
        groups.setdefault((request.backbone.variant, request.dataset.name), []).append(request.id)
    for (backbone, dataset), ids in groups.items():
        spread = spread_of(results, backbone, dataset)
        info, manifest = expansion.info[dataset], expansion.manifests.get(dataset)
        of_fold = {by_id[each].fold: split_sizes(by_id[each], info, manifest).get("test", 0) for each in ids}
        seconds = [estimates[each].seconds for each in ids if each in estimates]
        mean = statistics.mean(filter(None, seconds)) if any(seconds) else None
        for folds in sorted({1, len(of_fold)}):
            clips = sum(list(of_fold.values())[:folds])
            seeds = deciding(points, spread, clips, folds) if clips else None
            hours = mean * folds * seeds / 3600 if mean and seeds else None
            found.append(
                Decision(backbone, dataset, points, folds, clips, seeds, hours, 100 * spread.seed_sd, spread.source)
            )
    return found
