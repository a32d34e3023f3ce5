"""What a report is made of: records, the trials' frame, table cells, profiles, and what the metrics average."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.records.frame import to_frame
from benchmark.records.schema import Record, StepProfile
from benchmark.records.store import ResultStore
from benchmark.report.cells import summarise
from benchmark.report.statistics import Array, Difference, Paired, ties
from benchmark.spec.request import TrialRequest

GROUP = ["protocol", "backbone", "dataset"]


@dataclass
class Evidence:
    """One results folder as the tables, figures, claims and the page see it.

    `order` holds names of datasets and methods in the order they are to stand in.
    """

    store: ResultStore
    order: Mapping[str, list[str]]
    records: list[Record] = field(init=False)
    submitted: list[TrialRequest] = field(init=False)
    profiles: list[StepProfile] = field(init=False)

    def __post_init__(self) -> None:
        self.store.require()
        self.records = list(self.store.records())
        self.submitted = self.store.submitted()
        self.profiles = list(self.store.profiles())

    @functools.cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial."""
        return to_frame(self.records)

    @functools.cached_property
    def cells(self) -> pd.DataFrame:
        """One row a table cell, with intervals and tie groups."""
        cells = summarise(self.records, self.trials, self.submitted, self.order)
        for key in ("low", "high"):
            cells[key] = pd.Series(index=cells.index, dtype=float)
        cells["best"] = False
        for group, rows in cells.groupby(GROUP, sort=False):
            complete = rows[rows["score"].notna()]
            if complete.empty:
                continue
            paired = self._make_paired(complete["cell"])
            self._paired[group] = paired
            if paired is None:  # records without parts: the highest score, for want of better
                cells.loc[complete.index, "best"] = complete["score"] == complete["score"].max()
                continue
            tied = ties(paired, dict(zip(complete["cell"], complete["score"], strict=True)))
            for index, cell in complete["cell"].items():
                found = paired.interval(cell)
                cells.loc[index, ["low", "high"]] = found.low, found.high
                cells.loc[index, "best"] = cell in tied
        return cells

    def paired(self, cell: pd.Series) -> Paired | None:
        """The complete cells of its protocol, backbone and dataset, to compare; None where they have no parts."""
        return self._paired.get(tuple(cell[GROUP]))

    def difference(self, one: pd.Series, other: pd.Series) -> Difference | None:
        """The score of one complete cell less that of another of the same protocol, backbone and dataset."""
        paired = self.paired(one)
        return paired.difference(one["cell"], other["cell"]) if paired else None

    @functools.cached_property
    def _paired(self) -> dict[Any, Paired | None]:
        return {}

    @functools.cached_property
    def _by_cell(self) -> dict[str, pd.DataFrame]:
        return {str(cell): rows for cell, rows in self.trials.groupby("cell", sort=False)}

    @functools.cached_property
    def _requests(self) -> dict[str, TrialRequest]:
        return {record.id: record.request for record in self.records}

    def _make_paired(self, cells: Iterable[str]) -> Paired | None:
        parts: dict[str, dict[int, Array]] = {}
        for cell in cells:
            for seed in self._by_cell[cell]["seed"].unique().tolist():
                rows = self._by_cell[cell][self._by_cell[cell]["seed"] == seed]
                folds = [self._parts(row) for row in rows.sort_values("fold").to_dict("records")]
                if any(each is None for each in folds):
                    return None
                known = [each for each in folds if each is not None]
                total = sum(map(len, known))
                # the score is the mean over folds, which need not be equally large
                weighted = [each * (total / (len(known) * len(each))) for each in known]
                parts.setdefault(cell, {})[seed] = np.concatenate(weighted)
        lengths = {len(values) for by_seed in parts.values() for values in by_seed.values()}
        return Paired(parts) if len(lengths) == 1 else None

    def _parts(self, trial: Mapping[Any, Any]) -> npt.NDArray[np.floating[Any]] | None:
        path: Path = self.store.record_path(self._requests[trial["id"]]).with_suffix(".npz")
        try:
            with np.load(path) as stored:
                if "parts_test" not in stored:
                    return None
                chosen = int(np.flatnonzero(stored["epochs"] == trial["epoch"])[0])
                return np.asarray(stored["parts_test"][chosen], float)
        except (OSError, ValueError, KeyError, IndexError):
            return None
