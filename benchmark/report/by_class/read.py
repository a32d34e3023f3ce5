"""Read the results by class of the table cells that a report shows, or of any one."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.metrics import by_class, ranking
from benchmark.records.predictions import UnusablePredictionsError, open_predictions
from benchmark.records.store import CACHE, PREDICTIONS
from benchmark.report.aggregate import GROUP
from benchmark.report.by_class import compute, result
from benchmark.report.by_class.compute import Trial
from benchmark.report.by_class.result import ByClass
from benchmark.report.cache import cached
from benchmark.report.full_rows import FULL

if TYPE_CHECKING:
    from benchmark.report.results import Results

# Numbers are kept for this text of the code only.
SOURCES = [str(module.__file__) for module in (by_class, ranking, compute, result)]


@dataclass(frozen=True)
class Shown:
    """The cells of which a report shows results by class.

    Attributes:
        by_cell: results by cell.
        left_out: why other cells have none.
    """

    by_cell: Mapping[str, ByClass]
    left_out: list[str]

    @classmethod
    def of(cls, results: Results) -> Shown:
        """Read full fine-tuning and the best other method of every protocol, backbone and dataset."""
        found, left_out, names = dict[str, ByClass](), list[str](), results.names
        for _, cell in shown_cells(results.cells).iterrows():
            try:
                found[cell["cell"]] = read_by_class(results, cell)
            except UnusablePredictionsError as error:
                place = names.task(cell["backbone"], cell["dataset"])
                left_out.append(f"{names.method(cell['method'])} ({place}): {error}")
        return cls(found, left_out)


def shown_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the complete cells of full fine-tuning and of the best other method, of several settings the best one."""
    chosen: list[Any] = []
    for _, rows in cells[cells["score"].notna()].groupby(GROUP, sort=False):
        falling = rows.sort_values("score", ascending=False, kind="stable")
        is_full = falling["method"] == FULL
        chosen += [*falling.index[is_full][:1], *falling.index[~is_full][:1]]
    return cells.loc[chosen]


def shown_rows(results: Results) -> pd.DataFrame:
    """Return the cells of a report that have results by class."""
    return results.cells[results.cells["cell"].isin(list(results.by_class.by_cell))]


def read_by_class(results: Results, cell: pd.Series) -> ByClass:
    """Return the results by class of one cell, from the cache if nothing has changed.

    Args:
        results: the results folder.
        cell: one of its table cells.

    Raises:
        UnusablePredictionsError: the cell is not complete, or its predictions are missing, damaged or older.
    """
    if pd.isna(cell["score"]):
        raise UnusablePredictionsError(f"{cell['done']} of {cell['expected']} trials are finished and have a score")
    trials = (
        results.trials[results.trials["cell"] == cell["cell"]].sort_values(["seed", "draw", "fold"]).to_dict("records")
    )
    rule, metric = results.requests[cell["cell"]].ranking, trials[0]["metric"]
    digests = [_digest_of_file((results.store.folder / trial["record"]).with_suffix(PREDICTIONS)) for trial in trials]
    places = [(trial["unit"], trial["seed"], trial["fold"], trial["epoch"]) for trial in trials]
    key = _digest(json.dumps([_code(), rule, metric, *zip(places, digests, strict=True)]).encode())
    return cached(
        results.store.folder / CACHE / f"classes-{key}.json",
        ByClass,
        lambda: compute.compute(list(_read(results.store.folder, trials)), metric, rule),
    )


def _read(folder: Path, trials: Iterable[Mapping[Any, Any]]) -> Iterator[Trial]:
    """Yield the test clips of trials, those of a fold in the same order.

    Raises:
        UnusablePredictionsError: predictions are missing, damaged or older, or seeds have different clips.
    """
    clips_of_folds: dict[int, list[str]] = {}
    draws: dict[tuple[int, int], int] = {}  # few-shot: number of each model, by draw and seed
    for trial in trials:
        is_drawn = pd.notna(trial["draw"])
        model = draws.setdefault((trial["unit"], trial["seed"]), len(draws)) if is_drawn else trial["seed"]
        place = f"fold {trial['fold']} seed {trial['seed']}"
        with open_predictions(folder / trial["record"], trial["epoch"]) as stored:
            if "logits_test" not in stored:
                raise UnusablePredictionsError(f"{place} has no logits")
            clips, logits = stored.whole("clips_test"), stored.at_epoch("logits_test")
            targets, observed = stored.whole("targets_test"), stored.whole("observed_test")
            names = stored.whole("classes").tolist() if "classes" in stored else None
        classes = targets.shape[-1] if names is None else len(names)
        if {array.shape for array in (logits, targets, observed)} != {(len(clips), classes)}:
            raise UnusablePredictionsError(f"{place} has arrays of different lengths")
        order = np.argsort(clips, kind="stable")
        paths = clips[order].tolist()
        found = Trial(model, trial["fold"], names, logits[order], targets[order], observed[order])
        if not np.isfinite(found.logits).all():
            raise UnusablePredictionsError(f"{place} has logits that are not finite")
        if paths != clips_of_folds.setdefault(found.fold, paths):
            raise UnusablePredictionsError(f"its seeds have different test clips in fold {found.fold}")
        yield found


@functools.cache
def _code() -> str:
    return _digest(b"".join(Path(source).read_bytes() for source in SOURCES))


def _digest_of_file(path: Path) -> str:
    try:
        return _digest(path.read_bytes())
    except OSError as error:
        raise UnusablePredictionsError(f"{path.name}: {error.strerror}") from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
