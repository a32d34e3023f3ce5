"""Trials by backbone, dataset and method: how many are done, running, failed and missing, with their hours."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.console import Block, Sheet, Styled
from benchmark.units import duration, plural

if TYPE_CHECKING:
    from benchmark.planning.plan import Entry, Plan
    from benchmark.records.store import ResultStore
    from benchmark.report.names import Names

STYLES = {"done": "green", "running": "cyan", "stale": "yellow", "failed": "red", "missing": ""}
MAX_ERRORS = 8  # different errors that are shown
LEGEND = "A cell: finished/all trials, other states, time"


@dataclass(frozen=True)
class TrialCell:
    """The trials of one backbone, dataset and method under one protocol.

    Attributes:
        protocol: name of the protocol.
        backbone: the backbone with its options.
        dataset: name of the dataset, with the number of training clips per class of few-shot trials.
        method: the method with its hyper-parameters.
        counts: number of trials by state (done, running, stale, failed, missing); zeros are left out.
        spent_seconds: time of the finished trials, from their records.
        left_seconds: time of the trials that a run would submit; None if it is not estimated.
        chooses: whether the trials are scored on held-out clips, to choose a setting.
    """

    protocol: str
    backbone: str
    dataset: str
    method: str
    counts: dict[str, int]
    spent_seconds: float
    left_seconds: float | None = None
    chooses: bool = False

    @property
    def table(self) -> tuple[str, str, bool]:
        """Which table shows the cell: protocol, backbone, and whether the trials choose."""
        return self.protocol, self.backbone, self.chooses

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain data, for JSON."""
        return dataclasses.asdict(self)


def trial_cells(
    plan: Plan, running: Collection[str] = (), left: Mapping[str, float | None] | None = None
) -> list[TrialCell]:
    """Return the cells of a plan, in its order.

    Args:
        plan: the trials.
        running: ids of the trials that are running now.
        left: estimated seconds of the trials that a run would submit, by id.
    """
    groups: dict[tuple[str, str, str, str, bool], list[Entry]] = {}
    for entry in plan.entries:
        request = entry.request
        names = (request.protocol.name, request.backbone.variant, request.task, request.method.variant)
        groups.setdefault((*names, request.held_out), []).append(entry)
    return [_cell(key, entries, running, left or {}) for key, entries in groups.items()]


def _cell(
    key: tuple[str, str, str, str, bool],
    entries: list[Entry],
    running: Collection[str],
    left: Mapping[str, float | None],
) -> TrialCell:
    counts = Counter("running" if entry.request.id in running else entry.state for entry in entries)
    estimated = [left[entry.request.id] for entry in entries if entry.request.id in left]
    known = [seconds for seconds in estimated if seconds is not None]
    return TrialCell(
        *key[:4],
        chooses=key[4],
        counts={state: counts[state] for state in STYLES if counts[state]},
        spent_seconds=sum(entry.seconds for entry in entries),
        left_seconds=sum(known) if estimated and len(known) == len(estimated) else None,
    )


def matrices(cells: list[TrialCell], names: Names, *, show_left: bool) -> Iterator[Sheet]:
    """Yield a table for each protocol and backbone: a row per method, a column per dataset.

    Args:
        cells: the cells.
        names: labels of backbones, datasets and protocols; methods keep the names that commands take.
        show_left: show the time that is left, in place of the time that was spent.
    """
    for key in dict.fromkeys(cell.table for cell in cells):
        protocol, backbone, chooses = key
        found = {(cell.method, cell.dataset): cell for cell in cells if cell.table == key}
        methods, datasets = (list(dict.fromkeys(key[place] for key in found)) for place in (0, 1))
        label = names.backbone(backbone)
        title = f"{label}{f' ({backbone})' if label != backbone else ''}, protocol {names.protocol(protocol)}"
        yield Sheet(
            f"{title}: trials on validation clips, to choose settings" if chooses else title,
            ["method", *(tuple(names.dataset(name).split()) for name in datasets)],
            [[method, *(_text(found.get((method, name)), show_left) for name in datasets)] for method in methods],
        )


def _text(cell: TrialCell | None, show_left: bool) -> object:
    if cell is None:
        return ""
    done, total = cell.counts.get("done", 0), sum(cell.counts.values())
    lines: list[object] = [Styled(f"{done}/{total}", STYLES["done"] if done == total else "")]
    lines += [
        Styled(f"{cell.counts[state]} {state}", STYLES[state])
        for state in ("running", "stale", "failed")
        if state in cell.counts
    ]
    if show_left:
        lines += [duration(cell.left_seconds)] if cell.left_seconds is not None else []
    elif cell.spent_seconds:
        lines.append(duration(cell.spent_seconds))
    return tuple(lines)


@dataclass(frozen=True)
class Failure:
    """Trials that failed with the same error.

    Attributes:
        error: the error of their last attempt, in one line.
        trials: labels of the trials.
        attempts: file of the last attempt of the first trial.
    """

    error: str
    trials: list[str]
    attempts: str

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain data, for JSON."""
        return dataclasses.asdict(self)


def read_failures(store: ResultStore, plan: Plan) -> list[Failure]:
    """Return the errors of a plan's failed trials, the most frequent first.

    Args:
        store: the results folder.
        plan: the trials.
    """
    errors: dict[str, list[tuple[str, Path]]] = {}
    last_attempts = {path.stem.rpartition("-")[0]: path for path in store.attempts()}  # oldest first
    for entry in plan.entries:
        path = last_attempts.get(entry.request.id)
        if entry.state != "failed" or path is None:
            continue
        attempt = store.read_attempt(path)
        error = f"{attempt.status}: {attempt.error}" if attempt else "damaged file"
        errors.setdefault(error.removeprefix("failed: "), []).append((entry.request.label, path))
    most_first = sorted(errors.items(), key=lambda item: -len(item[1]))
    return [Failure(error, [label for label, _ in found], str(found[0][1])) for error, found in most_first]


def failure_lines(failures: list[Failure]) -> Iterator[Block]:
    """Yield a line per error, with one of its trials."""
    for failure in failures[:MAX_ERRORS]:
        number = len(failure.trials)
        which = failure.trials[0] if number == 1 else f"{plural(number, 'trial')}, such as {failure.trials[0]}"
        yield Styled(f"failed: {which}: {failure.error}; see {failure.attempts}", STYLES["failed"])
    if len(failures) > MAX_ERRORS:
        more = sum(len(failure.trials) for failure in failures[MAX_ERRORS:])
        yield f"failed: {plural(more, 'more trial')} with other errors"


def known_names() -> Names:
    """Return the labels that ship with the suite."""
    from benchmark.records.schema import Labels
    from benchmark.report.layout import load_layout
    from benchmark.report.names import Names

    return Names.of(load_layout().labels, list[Labels]())
