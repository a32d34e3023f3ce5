"""The class Results: trials, table cells, step profiles and paired comparisons of one results folder."""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.records.frame import Curve, tabulate
from benchmark.records.schema import Record, StepProfile
from benchmark.records.store import PREDICTIONS, ResultStore
from benchmark.report.aggregate import GROUP, Submitted, aggregate
from benchmark.report.layout import Order
from benchmark.report.statistics import Array, Difference, Interval, Paired, ties
from benchmark.report.step_profiles import tabulate_steps
from benchmark.spec.request import TrialRequest

logger = logging.getLogger(__name__)


@dataclass
class Results:
    """One results folder, read for tables, figures, claims and the page.

    There may be thousands of records. Of each trial a row and the scores by epoch are kept, of each table cell also the
    first record.

    Attributes:
        store: the results folder.
        order: order of methods and datasets.
        trials: one row per finished trial, as in `benchmark.records.frame`.
        curves: score at every epoch, by trial id.
        first_records: the first record of each cell, for what its trials share.
        requests: one request of each cell, submitted or recorded.
        submitted: fold and seed of the submitted trials, by cell.
        environments: environments of the records, by their digest.
        profiles: profiles of training steps.
    """

    store: ResultStore
    order: Order
    trials: pd.DataFrame = field(init=False)
    curves: dict[str, Curve] = field(init=False)
    first_records: dict[str, Record] = field(init=False, default_factory=dict)
    requests: dict[str, TrialRequest] = field(init=False, default_factory=dict)
    submitted: dict[str, Submitted] = field(init=False, default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(init=False, default_factory=dict)
    profiles: list[StepProfile] = field(init=False)

    def __post_init__(self) -> None:
        self.store.require()
        for request in self.store.submitted():
            self.requests.setdefault(request.cell, request)
            self.submitted.setdefault(request.cell, set()).add((request.fold, request.seed))
        self.trials, self.curves = tabulate(map(self._note, self.store.records()))
        self.profiles = list(self.store.profiles())
        logger.info(
            "%s: %d records, %d cells, %d step profiles",
            self.store.folder, len(self.trials), len(self.requests), len(self.profiles),
        )  # fmt: skip

    def _note(self, record: Record) -> Record:
        """Keep what the report needs of a record, and return it."""
        self.first_records.setdefault(record.request.cell, record)
        self.requests.setdefault(record.request.cell, record.request)
        self.environments.setdefault(record.environment_hash, record.environment)
        return record

    @functools.cached_property
    def steps(self) -> pd.DataFrame:
        """One row per step profile, with the columns of `benchmark.report.step_profiles`."""
        return tabulate_steps(self.profiles, self.order.methods)

    @functools.cached_property
    def cells(self) -> pd.DataFrame:
        """One row per table cell, with the columns of `benchmark.report.aggregate`."""
        cells = aggregate(self.trials, self.requests, self.submitted, self.order)
        intervals: dict[str, Interval] = {}
        best: set[str] = set()
        for group, rows in cells[cells["score"].notna()].groupby(GROUP, sort=False):
            scores = dict(zip(rows["cell"], rows["score"], strict=True))
            paired = self._pair(scores)
            self._paired[group] = paired
            if paired is None:  # nothing to test with: only the highest score is marked as the best
                logger.info("%s: no paired comparison, records lack predictions or differ in clips", group)
                best |= {cell for cell, score in scores.items() if score == max(scores.values())}
                continue
            best |= ties(paired, scores)
            intervals |= {cell: paired.interval(cell) for cell in scores}
        for bound in ("low", "high"):
            values = {cell: getattr(interval, bound) for cell, interval in intervals.items()}
            cells[bound] = cells["cell"].map(values).astype(float)
        return cells.assign(best=cells["cell"].isin(best))

    def paired(self, cell: pd.Series) -> Paired | None:
        """Return the comparison of all complete cells of the same protocol, backbone and dataset.

        None if their records cannot be compared clip by clip.
        """
        return self._paired.get(tuple(cell[GROUP]))

    def difference(self, first: pd.Series, second: pd.Series) -> Difference | None:
        """Return the score of `first` minus that of `second`: complete cells of one protocol, backbone and dataset.

        None if their records cannot be compared clip by clip.
        """
        paired = self.paired(first)
        return paired.difference(first["cell"], second["cell"]) if paired else None

    @functools.cached_property
    def _paired(self) -> dict[Any, Paired | None]:
        return {}

    def _pair(self, cells: Collection[str]) -> Paired | None:
        """Read what the metric averages (hits by clip, precision by class) for every cell and seed."""
        parts: dict[str, dict[int, Array]] = {cell: {} for cell in cells}
        rows = self.trials[self.trials["cell"].isin(parts)].sort_values(["seed", "fold"])
        for key, trials in rows.groupby(["cell", "seed"], sort=False):
            cell, seed = cast("tuple[str, int]", key)
            folds = []
            for record, epoch in zip(trials["record"], trials["epoch"], strict=True):
                fold = self._read_parts(record, epoch)
                if fold is None:
                    return None
                folds.append(fold)
            total = sum(map(len, folds))
            # The score is the mean over folds. Weights make the mean over clips equal to it if folds differ in size.
            parts[cell][seed] = np.concatenate([fold * (total / (len(folds) * len(fold))) for fold in folds])
        lengths = {len(values) for by_seed in parts.values() for values in by_seed.values()}
        return Paired(parts) if len(lengths) == 1 else None

    def _read_parts(self, record: str, epoch: float) -> npt.NDArray[np.floating[Any]] | None:
        """Return (parts,) values of the chosen epoch from the predictions file; None if it has none or is damaged."""
        path = (self.store.folder / record).with_suffix(PREDICTIONS)
        try:
            with np.load(path) as stored:
                if "parts_test" not in stored:
                    return None
                chosen = int(np.flatnonzero(stored["epochs"] == epoch)[0])
                return np.asarray(stored["parts_test"][chosen], float)
        except (OSError, ValueError, KeyError, IndexError) as error:
            logger.info("%s: predictions cannot be used: %s", path, error)
            return None
