"""The class Results: trials, table cells, step profiles and paired comparisons."""

from __future__ import annotations

import functools
import logging
import math
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd

from benchmark.records.choice import Choice
from benchmark.records.floor import NAMES, REGRESSION, Floor, floor_key, floor_settings, read_floors
from benchmark.records.frame import Curve, tabulate
from benchmark.records.predictions import UnusablePredictionsError
from benchmark.records.schema import Labels, Record, StepProfile
from benchmark.records.store import ResultStore
from benchmark.report.aggregate import GROUP, Submitted, aggregate
from benchmark.report.by_class.read import Shown
from benchmark.report.inference import Estimate
from benchmark.report.layout import Order, load_layout
from benchmark.report.names import Names
from benchmark.report.outcomes import Outcome, difference, not_comparable, score, ties
from benchmark.report.read_outcome import TRIAL, read_outcome
from benchmark.report.render import marks, row_names
from benchmark.report.step_profiles import tabulate_steps
from benchmark.spec.request import TrialRequest

ROLES = ("tuned", "default")  # of the cells that a choice of a setting is about

logger = logging.getLogger(__name__)


def in_role(method: str, role: str) -> str:
    """Return the name of a method's chosen or default setting: `full (tuned)`."""
    return f"{method} ({role})" if role else method


@dataclass
class Notes:
    """What a report needs of records beside their rows, noted while they are read one by one.

    Attributes:
        first_records: the first record of each cell, for what its trials share.
        requests: one request of each cell, submitted or recorded.
        environments: environments of the records, by their digest.
        labels: labels of the records, by kind.
    """

    first_records: dict[str, Record] = field(default_factory=dict)
    requests: dict[str, TrialRequest] = field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)

    def note(self, record: Record) -> Record:
        """Keep what the report needs of a record, and return it."""
        self.first_records.setdefault(record.request.cell, record)
        self.requests.setdefault(record.request.cell, record.request)
        self.environments.setdefault(record.environment_hash, record.environment)
        for kind, labels in record.labels.model_dump().items():
            self.labels.setdefault(kind, {}).update(labels)
        return record


@dataclass
class Results:
    """Records, read for tables, figures, claims and pages: those of one results folder, or a choice of a store's.

    There may be thousands of records. Of each trial a row and the scores by epoch are kept, of each table cell also the
    first record.

    Attributes:
        store: the results folder, or the folder that the paths of the records are relative to.
        order: order of methods and datasets.
        trials: one row per finished trial, as in `benchmark.records.frame`.
        curves: score at every epoch, by trial id.
        notes: what else is known of the records.
        submitted: fold, seed and draw of the submitted trials, by cell.
        choices: choices of settings, made and open.
        profiles: profiles of training steps.
        floors: scores without a backbone, by key.
        outcomes: what the predictions of cells say, or why they cannot be used; read when it is needed.
    """

    store: ResultStore
    order: Order
    trials: pd.DataFrame
    curves: dict[str, Curve]
    notes: Notes
    submitted: dict[str, Submitted] = field(default_factory=dict)
    choices: list[Choice] = field(default_factory=list)
    profiles: list[StepProfile] = field(default_factory=list)
    floors: dict[str, Floor] = field(default_factory=dict)
    outcomes: dict[str, Outcome | UnusablePredictionsError] = field(default_factory=dict)

    @classmethod
    def read(cls, store: ResultStore, order: Order) -> Results:
        """Read a results folder.

        Args:
            store: the results folder.
            order: order of methods and datasets.

        Raises:
            BenchmarkError: not a results folder, or a record of a newer schema.
        """
        store.require()
        notes, submitted = Notes(), dict[str, Submitted]()
        for request in store.submitted():
            if not request.held_out:  # trials that choose a setting are no results
                notes.requests.setdefault(request.cell, request)
                submitted.setdefault(request.cell, set()).add((request.fold, request.seed, request.draw))
        trials, curves = tabulate(map(notes.note, store.records()))
        profiles, floors = list(store.profiles()), read_floors(store.folder)
        logger.info(
            "%s: %d records, %d cells, %d step profiles",
            store.folder, len(trials), len(notes.requests), len(profiles),
        )  # fmt: skip
        return cls(store, order, trials, curves, notes, submitted, store.choices(), profiles, floors)

    @property
    def first_records(self) -> dict[str, Record]:
        """The first record of each cell, for what its trials share."""
        return self.notes.first_records

    @property
    def requests(self) -> dict[str, TrialRequest]:
        """One request of each cell, submitted or recorded."""
        return self.notes.requests

    @property
    def environments(self) -> dict[str, dict[str, Any]]:
        """Environments of the records, by their digest."""
        return self.notes.environments

    @functools.cached_property
    def names(self) -> Names:
        """What people read in place of the names of requests."""
        return Names.of(load_layout().labels, [Labels.model_validate(self.notes.labels)])

    @functools.cached_property
    def marks(self) -> list[str]:
        """Reasons why the numbers are not comparable with the paper, see `benchmark.report.render.marks`."""
        return marks(self.cells)

    @functools.cached_property
    def row_labels(self) -> dict[str, str]:
        """What people read in place of the name of a table row: a method with what distinguishes it, or its role."""
        labels = dict(zip(row_names(self.cells), row_names(self.names.named(self.cells)), strict=True))
        roles = {(choice.method, role) for choice in self.choices for role in ROLES}
        return labels | {in_role(method, role): in_role(self.names.method(method), role) for method, role in roles}

    @functools.cached_property
    def roles(self) -> dict[str, list[tuple[str, str]]]:
        """Method and role of the cells that a choice is about: the chosen setting and the default, maybe one cell.

        Their names are the same on every dataset, whatever was chosen there.
        """
        found: dict[str, dict[tuple[str, str], None]] = {}
        for choice in self.choices:
            for role, candidate in zip(ROLES, (choice.winner, choice.candidates[0]), strict=True):
                if candidate is not None:
                    found.setdefault(candidate.cell, {})[choice.method, role] = None
        return {cell: list(roles) for cell, roles in found.items()}

    @functools.cached_property
    def steps(self) -> pd.DataFrame:
        """One row per step profile, with the columns of `benchmark.report.step_profiles`."""
        return tabulate_steps(self.profiles, self.order.methods)

    @functools.cached_property
    def rows(self) -> pd.DataFrame:
        """One row per table cell, as `cells`, without what needs predictions and floors: that takes longest."""
        cells = aggregate(self.trials, self.requests, self.submitted, self.order)
        tuned = {choice.winner.cell: choice for choice in self.choices if choice.winner and choice.chosen}
        marks = [
            "; ".join(filter(None, (marks, tuned[cell].mark(map(int, folds.split())) if cell in tuned else "")))
            for cell, marks, folds in zip(cells["cell"], cells["marks"], cells["folds"], strict=True)
        ]
        return cells.assign(marks=marks)

    @functools.cached_property
    def cells(self) -> pd.DataFrame:
        """One row per table cell, with the columns of `benchmark.report.aggregate`."""
        cells = self.rows.copy()
        intervals: dict[str, tuple[float, float]] = {}
        best: set[str] = set()
        for _, rows in cells[cells["score"].notna()].groupby(GROUP, sort=False):
            scores = dict(zip(rows["cell"], rows["score"], strict=True))
            outcomes = {cell: outcome for cell in scores if (outcome := self.outcome(cell))}
            highest = {cell for cell, value in scores.items() if value == max(scores.values())}
            best |= highest | (ties(outcomes, scores) if highest & outcomes.keys() else set())
            intervals |= {cell: score(outcome).interval() for cell, outcome in outcomes.items()}
        for place, bound in enumerate(("low", "high")):
            ends = {cell: interval[place] for cell, interval in intervals.items()}
            cells[bound] = cells["cell"].map(ends).astype(float).clip(0.0, 1.0)
        floors = [self.floor(cell).get(REGRESSION, math.nan) for _, cell in cells.iterrows()]
        return cells.assign(best=cells["cell"].isin(best), floor=floors)

    @property
    def tuned_cells(self) -> set[str]:
        """Cells of settings that were chosen, and of the default settings beside them."""
        return {
            candidate.cell
            for choice in self.choices
            for candidate in (choice.candidates[0], choice.winner)
            if candidate is not None
        }

    def floor(self, cell: pd.Series) -> dict[str, float]:
        """Return scores without a backbone over the folds of a cell, by name; those that are not known are left out."""
        request = self.requests[cell["cell"]]
        if request.shots:  # a regression on all training clips is not what few clips should beat
            return {}
        keys = [floor_key(floor_settings(request, int(fold))) for fold in cell["folds"].split()]
        of_folds = [self.floors[key].scores if key in self.floors else {} for key in keys]
        known = [name for name in NAMES if of_folds and all(name in scores for scores in of_folds)]
        return {name: float(np.mean([scores[name] for scores in of_folds])) for name in known}

    def untested(self) -> list[str]:
        """Return why some complete cells have no interval, or were not compared with the best one of their dataset."""
        reasons = []
        for key, rows in self.cells[self.cells["score"].notna()].groupby(GROUP, sort=False):
            place = self.names.task(key[1], key[2])
            best = rows.sort_values("score", ascending=False, kind="stable").iloc[0]
            for _, row in rows.iterrows():
                if reason := self.obstacle(best, row):
                    reasons.append(f"{reason} ({place})")
                elif (outcome := self.outcome(row["cell"])) and not outcome.grouped:
                    reasons.append(f"intervals without groups of clips, maybe too narrow ({place})")
        return list(dict.fromkeys(reasons))

    def obstacle(self, first: pd.Series, second: pd.Series) -> str | None:
        """Return why two complete cells cannot be compared clip by clip; None if they can."""
        for cell in (first, second):
            if reason := self.unusable(cell["cell"]):
                return f"{self.names.method(cell['method'])}: {reason}"
        return not_comparable(*(cast("Outcome", self.outcome(cell["cell"])) for cell in (first, second)))

    def difference(self, first: pd.Series, second: pd.Series) -> Estimate | None:
        """Return the score of `first` minus that of `second`: complete cells of one dataset.

        None if they cannot be compared clip by clip, see `obstacle`.
        """
        if self.obstacle(first, second):
            return None
        one, other = (cast("Outcome", self.outcome(cell["cell"])) for cell in (first, second))
        return difference(one, other)

    @functools.cached_property
    def by_class(self) -> Shown:
        """Results by class of the cells that a report shows."""
        return Shown.of(self)

    def outcome(self, cell: str) -> Outcome | None:
        """Return what the trained models of a cell scored; None if that cannot be read, see `unusable`."""
        found = self._read(cell)
        return found if isinstance(found, Outcome) else None

    def unusable(self, cell: str) -> str | None:
        """Return why the predictions of a cell cannot be used; None if they can."""
        found = self._read(cell)
        return None if isinstance(found, Outcome) else str(found)

    def _read(self, cell: str) -> Outcome | UnusablePredictionsError:
        if cell not in self.outcomes:
            rows = self.trials.loc[self._places[cell]] if cell in self._places else self.trials.iloc[:0]
            try:
                method = self.requests[cell].method.variant
                self.outcomes[cell] = read_outcome(self.store.folder, method, rows[TRIAL].to_dict("records"))
            except UnusablePredictionsError as error:
                self.outcomes[cell] = error
        return self.outcomes[cell]

    @functools.cached_property
    def _places(self) -> dict[str, Any]:
        """Rows of the finished trials by cell."""
        return {str(cell): rows for cell, rows in self.trials.groupby("cell", sort=False).groups.items()}
