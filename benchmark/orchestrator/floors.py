"""Compute the floors of trials that a results folder does not have yet."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from benchmark.console import counting, say
from benchmark.data.manifest import Manifest
from benchmark.errors import BenchmarkError
from benchmark.records.floor import floor_key, floor_settings, read_floors, write_floor
from benchmark.spec.request import TrialRequest

logger = logging.getLogger(__name__)


def fill_floors(
    requests: Sequence[TrialRequest],
    manifests: Mapping[str, Manifest],
    cache: Path | None,
    results: Path,
    console: Console,
) -> int:
    """Write the floors that are missing and return their number; one that cannot be computed is told, not raised.

    Args:
        requests: trials.
        manifests: clips by dataset.
        cache: folder of the audio cache; None decodes.
        results: the results folder.
        console: where progress is shown.
    """
    wanted = {floor_key(floor_settings(request)): request for request in requests}
    lacking = {key: wanted[key] for key in wanted.keys() - read_floors(results).keys()}
    if not lacking:
        return 0
    from benchmark.trial.floor import Statistics, compute_floor

    written = 0
    for name in sorted({request.dataset.name for request in lacking.values()}):
        folds = [request for request in lacking.values() if request.dataset.name == name]
        logger.info("%s: computing %d floors", name, len(folds))
        with counting(console) as show:
            statistics = Statistics(show)
            for request in sorted(folds, key=lambda request: request.fold):
                try:
                    write_floor(results, compute_floor(request, manifests[name], cache, statistics))
                except (BenchmarkError, OSError) as error:
                    say(console, f"{name}, fold {request.fold}: no floor: {error}")
                else:
                    written += 1
    return written
