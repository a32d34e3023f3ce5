"""Which records belong together: kinds of records, folds and seeds of a cell, choices of settings."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator

from benchmark.records.choice import best_candidate
from benchmark.records.schema import Record
from benchmark.submissions.bundle import Failure
from benchmark.submissions.checks.context import Context
from benchmark.submissions.layout import unusual
from benchmark.units import plural

SAYS = {
    "synthetic": "synthetic audio",
    "partial": "some clips or folds of a dataset only",
    "random": "a backbone with random weights",
}


def kinds(context: Context) -> Iterator[Failure]:
    """The store takes records of this kind; real and synthetic audio are never side by side."""
    accepted = context.store.accepts
    for path, record in context.bundle.all_records.items():
        for kind in unusual(record):
            if kind not in accepted:
                yield Failure(path, f"is of {SAYS[kind]}; this store takes none, use a store that accepts `{kind}`")
        if "synthetic" in accepted and record.data.kind != "synthetic":
            yield Failure(path, "is of real audio; this store is for synthetic audio, submit it to another one")


def folds_and_seeds(context: Context) -> Iterator[Failure]:
    """Each seed of a cell has each fold: of the dataset, or where parts are accepted of the submission's other cells.

    So a fold that went badly cannot be left out for one method.
    """
    cells, by_dataset = defaultdict[str, list[Record]](list), defaultdict[tuple[str, str], set[int]](set)
    for record in context.bundle.records.values():
        cells[record.request.cell].append(record)
        by_dataset[_data(record)].add(record.request.fold)
    partial = "partial" in context.store.accepts
    for records in cells.values():
        first = records[0]
        known = context.known.datasets.get(first.request.dataset.name)
        official = known.folds if known else _numbered(first.data.official_folds)
        folds = by_dataset[_data(first)] if partial else set(official)
        units = {(record.request.seed, record.request.draw) for record in records}
        found = {(record.request.fold, record.request.seed, record.request.draw) for record in records}
        what = first.request.label.rpartition(" f")[0]
        missing = {(fold, *unit) for fold, unit in itertools.product(folds, units)} - found
        if missing:
            fold, seed, draw = min(missing)
            example = f"fold {fold} seed {seed}{f' draw {draw}' if first.request.shots else ''}"
            count = plural(len(missing), "trial")
            yield Failure("", f"{what}: {count} missing, such as {example}; run and submit all folds of each seed")
        if strange := {fold for fold, _, _ in found} - set(official):
            yield Failure("", f"{what}: fold {min(strange)} is none of its dataset; do not edit records")


def _data(record: Record) -> tuple[str, str]:
    return record.request.task, record.request.protocol.name


def _numbered(folds: int) -> tuple[int, ...]:
    return tuple(range(1, min(folds, 1000) + 1)) if folds > 1 else (0,)


def choices(context: Context) -> Iterator[Failure]:
    """A choice of a setting names the best of its candidates, whose trials and scores are there."""
    bundle = context.bundle
    by_id = {record.id: record for record in bundle.choosing.values()}
    used: set[str] = set()
    for path, choice in bundle.choices.items():
        for candidate in choice.candidates:
            used.add(candidate.trial)
            record = by_id.get(candidate.trial)
            if candidate.state in {"completed", "diverged"} and record is None:
                yield Failure(path, f"names the trial {candidate.trial[:12]!a}, which is not there; submit again")
            elif record is not None and candidate.state == "completed" and candidate.score != record.score:
                yield Failure(path, f"says {candidate.score} of trial {record.id}, whose record says {record.score}")
        if choice.chosen is None or choice.chosen != best_candidate(choice.candidates):
            yield Failure(path, "does not choose the candidate with the best validation score; finish the `run`")
    for path, record in bundle.choosing.items():
        if record.id not in used:
            yield Failure(path, "is a trial of no choice; submit again")
