"""Read a results store for its board: the records of all submitters, and which of them each table cell shows."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from benchmark.records.choice import Choice
from benchmark.records.environment import measured_on
from benchmark.records.frame import Curve, tabulate
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.report.aggregate import Submitted
from benchmark.report.escape import one_line
from benchmark.report.layout import load_layout
from benchmark.report.results import Notes, Results
from benchmark.submissions.layout import Store, StoredRecord, Submission, provenance_marks, unusual
from benchmark.submissions.standing import Reported, standings_of

COMPLETE = "Complete datasets"  # title of the section whose results can be comparable with papers
ADDED = ("submitter", "submission", "release")  # columns of a trial beside those of `benchmark.records.frame`
UNAVOIDABLE = "checkpoint without a published digest"  # mark that no submitter can avoid; pages of results say it
CPU = "cpu"  # name of the device in records
WORDS = {"synthetic": "synthetic audio", "partial": "partial data", "random": "random weights"}  # of titles
LONGEST_HARDWARE = 80  # characters of a processor's name that are shown


@dataclass(frozen=True)
class Submitter:
    """The records of one submitter.

    Attributes:
        name: name of the submitter.
        trials: one row per trial, as in `benchmark.records.frame`, with `submitter`, `submission` and `release`; the
            column `record` has the path in the store.
        curves: score at every epoch, by trial id.
        notes: what else is known of the records.
        choices: choices of settings.
        reported: what the standings need of each record, by trial id.
    """

    name: str
    trials: pd.DataFrame
    curves: dict[str, Curve]
    notes: Notes
    choices: list[Choice]
    reported: dict[str, Reported]


@dataclass(frozen=True)
class Section:
    """Records of one kind of data and weights. Others are never shown in one table with them.

    Attributes:
        name: name for paths.
        title: heading, such as `Synthetic audio`.
        is_complete: whether data and weights are complete and trained, so that claims can be judged.
        results: the shown records.
    """

    name: str
    title: str
    is_complete: bool
    results: Results


@dataclass(frozen=True)
class Board:
    """What a board shows.

    Attributes:
        store: the store.
        submissions: all submissions, newest first.
        standings: one row per cell and submitter, as in `benchmark.submissions.standing`.
        submitters: records by name of the submitter.
        shown: name of the submitter whose records a cell shows, by cell: the first with complete ones.
        kinds: name of the section of each cell.
        sections: the sections, complete data first.
    """

    store: Store
    submissions: list[Submission]
    standings: pd.DataFrame
    submitters: dict[str, Submitter]
    shown: dict[str, str]
    kinds: dict[str, _Kind]
    sections: list[Section] = field(default_factory=list)

    @functools.cached_property
    def trials(self) -> pd.DataFrame:
        """All trials of all submitters, with the columns of `Submitter.trials`."""
        frames = [submitter.trials for submitter in self.submitters.values() if len(submitter.trials)]
        return pd.concat(frames, ignore_index=True) if frames else tabulate([])[0].assign(**dict.fromkeys(ADDED, ""))

    def results_of(self, name: str, section: Section) -> Results:
        """Return the records of one submitter in a section, whether a cell shows them or those of another one."""
        submitter, known = self.submitters[name], section.results.outcomes
        cells = [cell for cell in submitter.trials["cell"] if self.kinds[cell].name == section.name]
        results = self._results(dict.fromkeys(cells, name))
        results.outcomes |= {cell: known[cell] for cell in cells if self.shown[cell] == name and cell in known}
        return results

    def _results(self, shown: Mapping[str, str]) -> Results:
        """Return the records of cells.

        Args:
            shown: submitter by cell.
        """
        frames, curves, notes, choices = [], dict[str, Curve](), Notes(), dict[str, Choice]()
        for name, submitter in self.submitters.items():
            cells = {cell for cell, owner in shown.items() if owner == name}
            rows = submitter.trials[submitter.trials["cell"].isin(cells)]
            if rows.empty:
                continue
            frames.append(rows)
            curves |= {trial: submitter.curves[trial] for trial in rows["id"]}
            notes.first_records |= {cell: submitter.notes.first_records[cell] for cell in cells}
            notes.requests |= {cell: submitter.notes.requests[cell] for cell in cells}
            notes.environments |= submitter.notes.environments
            for kind, labels in submitter.notes.labels.items():
                notes.labels[kind] = labels | notes.labels.get(kind, {})  # the first submitter's
            choices = {choice.id: choice for choice in submitter.choices} | choices
        trials = pd.concat(frames, ignore_index=True) if frames else self.trials.iloc[:0]
        return Results(
            ResultStore(self.store.folder), load_layout().order, trials, curves, notes,
            self._submitted(trials), list(choices.values()),
        )  # fmt: skip

    def _submitted(self, trials: pd.DataFrame) -> dict[str, Submitted]:
        """Return the trials that make a cell complete, where the store accepts some of the folds."""
        if "partial" not in self.store.info.accepts:
            return {}
        return {
            str(cell): set(
                itertools.product(
                    map(int, rows["fold"].unique()),
                    map(int, rows["seed"].unique()),
                    map(int, rows["draw"].fillna(0).unique()),
                )
            )
            for cell, rows in trials.groupby("cell", sort=False)
        }


@dataclass(frozen=True)
class _Kind:
    """The kind of a cell's data and weights."""

    name: str
    title: str
    is_complete: bool


def read_board(store: Store) -> Board:
    """Read all records of a store.

    Raises:
        BenchmarkError: a submission is damaged, or a record is of a newer schema.
    """
    submissions = sorted(store.submissions(), key=lambda one: (one.submitted, one.path), reverse=True)
    kinds, submitters = dict[str, _Kind](), dict[str, Submitter]()
    manifests = dict[tuple[str, str], dict[str | None, None]]()
    for name, stored in itertools.groupby(store.records(), key=lambda one: one.submission.submitter):
        submitters[name] = _read_submitter(name, stored)
        for cell, record in submitters[name].notes.first_records.items():
            kinds.setdefault(cell, _kind(record, manifests))
    for submission in submissions:
        if submission.submitter in submitters:
            submitters[submission.submitter].choices.extend(store.results(submission).choices())
    found = standings_of(((one.trials, one.reported) for one in submitters.values()), store.info)
    board = Board(store, submissions, found, submitters, _shown(found), kinds)
    names = sorted(set(kinds.values()), key=lambda kind: (not kind.is_complete, kind.name))
    for kind in names:
        shown = {cell: name for cell, name in board.shown.items() if kinds[cell] == kind}
        board.sections.append(Section(kind.name, kind.title, kind.is_complete, board._results(shown)))
    return board


def _read_submitter(name: str, records: Iterable[StoredRecord]) -> Submitter:
    notes, more, reported = Notes(), dict[str, dict[str, Any]](), dict[str, Reported]()

    def noted() -> Iterator[Record]:
        for stored in records:
            record = stored.record
            if record.id in more:  # the same trial in two submissions of one submitter: the first counts
                continue
            reported[record.id] = Reported.of(stored)
            more[record.id] = {
                "record": stored.path.as_posix(),
                "submitter": name,
                "submission": stored.submission.name,
                "release": stored.submission.release,
                "device": measured_on(_hardware(record), record.environment),
                "provenance": "; ".join(mark for mark in provenance_marks(record) if not mark.startswith(UNAVOIDABLE)),
            }
            yield notes.note(record)

    trials, curves = tabulate(noted())
    columns = pd.DataFrame.from_dict(more, orient="index").reindex(trials["id"]).reset_index(drop=True)
    marks = ["; ".join(filter(None, pair)) for pair in zip(trials["marks"], columns.pop("provenance"), strict=True)]
    trials = trials.assign(**{str(key): columns[key] for key in columns}, marks=marks)
    return Submitter(name, trials, curves, notes, [], reported)


def _hardware(record: Record) -> str:
    """Return what times are compared on: the GPU, or the processor with its threads."""
    if record.profile.device != CPU:
        return record.profile.device
    processor, threads = (record.environment.get(key, "unknown") for key in ("cpu", "threads"))
    return f"{CPU}: {one_line(str(processor))[:LONGEST_HARDWARE]}, threads: {one_line(str(threads))[:4]}"


def _kind(record: Record, manifests: dict[tuple[str, str], dict[str | None, None]]) -> _Kind:
    """Return the kind of a record; different clips of a dataset that is not complete are different kinds.

    Args:
        record: the record.
        manifests: digests of the clips that were seen, by title and dataset; one is added.
    """
    words = [WORDS[kind] for kind in unusual(record)]
    title = ", ".join(words).capitalize() or COMPLETE
    if title == COMPLETE:
        return _Kind("complete", title, is_complete=True)
    seen = manifests.setdefault((title, record.request.dataset.name), {})
    seen.setdefault(record.request.dataset.manifest, None)
    number = list(seen).index(record.request.dataset.manifest) + 1
    name = "-".join(" ".join(words).split())
    if number > 1:
        return _Kind(f"{name}-{number}", f"{title}, other clips ({number})", is_complete=False)
    return _Kind(name, title, is_complete=False)


def _shown(found: pd.DataFrame) -> dict[str, str]:
    """Return the submitter whose records a cell shows: the first with complete ones, else the first."""
    ordered = found.sort_values("complete", ascending=False, kind="stable").drop_duplicates("cell")
    return dict(zip(ordered["cell"], ordered["submitter"], strict=True))
