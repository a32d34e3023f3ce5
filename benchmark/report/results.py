"""What a report is made of: records, the trials' frame, table cells, profiles, and what the metrics average."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.records.frame import Curve, tabulate
from benchmark.records.schema import Record, StepProfile
from benchmark.records.store import ResultStore
from benchmark.report.aggregate import summarise
from benchmark.report.statistics import Array, Difference, Interval, Paired, ties
from benchmark.report.tables.steps import steps
from benchmark.spec.request import TrialRequest

GROUP = ["protocol", "backbone", "dataset"]


@dataclass
class Results:
    """One results folder as the tables, figures, claims and the page see it.

    Of thousands of records it keeps a row and the scores by epoch each, and of every table cell the first record, for
    what its trials share.

    Attributes:
        store: the folder.
        order: names of datasets and methods in the order they are to stand in.
        trials: one row a trial.
        curves: by trial, the score at every epoch.
        firsts: by cell, the first record.
        requests: by cell, a request: of what was asked for, then of what is there all the same.
        expected: by cell, fold and seed of the trials that were asked for.
        environments: by digest, those of the records.
        profiles: measured steps.
    """

    store: ResultStore
    order: Mapping[str, list[str]]
    trials: pd.DataFrame = field(init=False)
    curves: dict[str, Curve] = field(init=False)
    firsts: dict[str, Record] = field(init=False, default_factory=dict)
    requests: dict[str, TrialRequest] = field(init=False, default_factory=dict)
    expected: dict[str, set[tuple[int, int]]] = field(init=False, default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(init=False, default_factory=dict)
    profiles: list[StepProfile] = field(init=False)

    def __post_init__(self) -> None:
        self.store.require()
        for request in self.store.submitted():
            self.requests.setdefault(request.cell, request)
            self.expected.setdefault(request.cell, set()).add((request.fold, request.seed))
        self.trials, self.curves = tabulate(map(self._seen, self.store.records()))
        self.profiles = list(self.store.profiles())

    def _seen(self, record: Record) -> Record:
        self.firsts.setdefault(record.request.cell, record)
        self.requests.setdefault(record.request.cell, record.request)
        self.environments.setdefault(record.environment_hash, record.environment)
        return record

    @functools.cached_property
    def steps(self) -> pd.DataFrame:
        """One row a profile."""
        return steps(self.profiles, self.order["methods"])

    @functools.cached_property
    def cells(self) -> pd.DataFrame:
        """One row a table cell, with intervals and tie groups."""
        cells = summarise(self.trials, self.requests, self.expected, self.order)
        intervals: dict[str, Interval] = {}
        best: set[str] = set()
        for group, rows in cells[cells["score"].notna()].groupby(GROUP, sort=False):
            scores = dict(zip(rows["cell"], rows["score"], strict=True))
            paired = self._make_paired(scores)
            self._paired[group] = paired
            if paired is None:  # records without parts: the highest score, for want of better
                best |= {cell for cell, score in scores.items() if score == max(scores.values())}
                continue
            best |= ties(paired, scores)
            intervals |= {cell: paired.interval(cell) for cell in scores}
        for key in ("low", "high"):
            known = {cell: getattr(interval, key) for cell, interval in intervals.items()}
            cells[key] = cells["cell"].map(known).astype(float)
        return cells.assign(best=cells["cell"].isin(best))

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

    def _make_paired(self, cells: Collection[str]) -> Paired | None:
        parts: dict[str, dict[int, Array]] = {cell: {} for cell in cells}
        rows = self.trials[self.trials["cell"].isin(parts)].sort_values(["seed", "fold"])
        for key, trials in rows.groupby(["cell", "seed"], sort=False):
            cell, seed = cast("tuple[str, int]", key)
            folds = []
            for record, epoch in zip(trials["record"], trials["epoch"], strict=True):
                found = self._parts(record, epoch)
                if found is None:
                    return None
                folds.append(found)
            total = sum(map(len, folds))
            # the score is the mean over folds, which need not be equally large
            parts[cell][seed] = np.concatenate([each * (total / (len(folds) * len(each))) for each in folds])
        lengths = {len(values) for by_seed in parts.values() for values in by_seed.values()}
        return Paired(parts) if len(lengths) == 1 else None

    def _parts(self, record: str, epoch: float) -> npt.NDArray[np.floating[Any]] | None:
        try:
            with np.load((self.store.folder / record).with_suffix(".npz")) as stored:
                if "parts_test" not in stored:
                    return None
                chosen = int(np.flatnonzero(stored["epochs"] == epoch)[0])
                return np.asarray(stored["parts_test"][chosen], float)
        except (OSError, ValueError, KeyError, IndexError):
            return None
