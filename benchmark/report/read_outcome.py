"""Read what the trained models of a table cell scored clip by clip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.records.predictions import UnusablePredictionsError, open_predictions
from benchmark.report.inference import Array
from benchmark.report.outcomes import Fold, Outcome

TRIAL = ["fold", "unit", "epoch", "record"]  # columns of a trial that are needed


def read_outcome(folder: Path, method: str, trials: Iterable[Mapping[Any, Any]]) -> Outcome:
    """Read the predictions of the chosen epoch of all trials of a cell.

    The values of a seed are those of its trial; in few-shot trials the draw takes the place of the seed, with the mean
    over its seeds.

    Args:
        folder: the results folder.
        method: names the cell in reasons.
        trials: its finished trials, with the columns `TRIAL` of `benchmark.records.frame`.

    Raises:
        UnusablePredictionsError: there is no trial, predictions are missing or damaged, or seeds have different clips.
    """
    folds: dict[int, tuple[Fold, dict[int, list[Array]]]] = {}
    all_grouped = True
    for trial in trials:
        number, unit = trial["fold"], trial["unit"]
        found, grouped = _read(folder / trial["record"], unit, trial["epoch"])
        first, values = folds.setdefault(number, (found, {}))
        if not np.array_equal(first.clips, found.clips) or not np.array_equal(first.groups, found.groups):
            raise UnusablePredictionsError(f"its seeds have different test clips or groups of them in fold {number}")
        values.setdefault(unit, []).append(found.values[unit])
        all_grouped &= grouped
    if not folds:
        raise UnusablePredictionsError("it has no finished trial")
    means = {
        number: Fold(first.clips, first.groups, {unit: np.mean(found, axis=0) for unit, found in values.items()})
        for number, (first, values) in folds.items()
    }
    return Outcome(method, means, all_grouped)


def _read(record: Path, unit: int, epoch: float) -> tuple[Fold, bool]:
    """Return the predictions beside a record, and whether it says which clips share a recording.

    Records of earlier versions have no groups, and for map no value by clip.
    """
    with open_predictions(record, epoch) as stored:
        values = stored.at_epoch("values_test" if "values_test" in stored else "parts_test").astype(float)
        clips = stored.whole("clips_test")
        grouped = "groups_test" in stored
        groups = stored.whole("groups_test") if grouped else clips
    if values.shape != clips.shape or groups.shape != clips.shape:
        raise UnusablePredictionsError(f"{record.stem} does not have one value per clip")
    if not np.isfinite(values).all():
        raise UnusablePredictionsError(f"{record.stem} has values that are not finite")
    return Fold.of(clips, groups, {unit: values}), grouped
