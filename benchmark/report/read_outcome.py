"""Read what the trained models of a table cell scored clip by clip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark.records.predictions import UnusablePredictionsError, open_predictions
from benchmark.report.inference import Array
from benchmark.report.outcomes import Fold, Names, Outcome


class _Predictions(NamedTuple):
    """Clips, their groups and their values of one trial, each (clips,), and whether the record has groups."""

    clips: Names
    groups: Names
    values: Array
    grouped: bool


def read_outcome(folder: Path, method: str, trials: Iterable[Mapping[Any, Any]]) -> Outcome:
    """Read the predictions of the chosen epoch of all trials of a cell.

    Args:
        folder: the results folder.
        method: names the cell in reasons.
        trials: rows of its finished trials, as in `benchmark.records.frame`.

    Raises:
        UnusablePredictionsError: there is no trial, predictions are missing or damaged, or seeds have different clips.
    """
    folds: dict[int, dict[int, _Predictions]] = {}
    for trial in trials:
        found = _read(folder / trial["record"], trial["epoch"])
        folds.setdefault(trial["fold"], {})[trial["seed"]] = found
    if not folds:
        raise UnusablePredictionsError("it has no finished trial")
    by_fold = {}
    for number, by_seed in folds.items():
        first, *others = by_seed.values()
        if any(not np.array_equal(np.sort(first.clips), np.sort(other.clips)) for other in others):
            raise UnusablePredictionsError(f"its seeds have different test clips in fold {number}")
        order = np.argsort(first.clips)
        by_fold[number] = Fold(
            first.clips[order],
            first.groups[order],
            {seed: found.values[np.argsort(found.clips)] for seed, found in by_seed.items()},
        )
    return Outcome(method, by_fold, all(found.grouped for by_seed in folds.values() for found in by_seed.values()))


def _read(record: Path, epoch: float) -> _Predictions:
    """Read the predictions beside a record; those of earlier versions have no groups, and for map no value by clip."""
    with open_predictions(record, epoch) as stored:
        values = stored.at_epoch("values_test" if "values_test" in stored else "parts_test").astype(float)
        clips = stored.whole("clips_test")
        grouped = "groups_test" in stored
        groups = stored.whole("groups_test") if grouped else clips
    if values.shape != clips.shape or groups.shape != clips.shape:
        raise UnusablePredictionsError(f"{record.stem} does not have one value per clip")
    if not np.isfinite(values).all():
        raise UnusablePredictionsError(f"{record.stem} has values that are not finite")
    return _Predictions(clips, groups, values, grouped)
