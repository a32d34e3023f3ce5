"""A submission beside the others of its store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from benchmark.records.schema import Record
from benchmark.submissions.bundle import Bundle, Failure
from benchmark.submissions.checks.context import Context
from benchmark.submissions.reading import RefusedError

COPIED = 0.5  # share of equal times from which a record is a copy; of two runs, hardly one time is equal
Key = tuple[str, str | None, int, str, str]


def duplicates(context: Context) -> Iterator[Failure]:
    """A submitter submits a trial once."""
    submitter = context.bundle.manifest.submitter
    for path, record in context.bundle.all_records.items():
        for bundle, place, _ in context.other_trials.get(record.id, []):
            if bundle.manifest.submitter == submitter:
                yield Failure(
                    path, f"is the trial of {bundle.manifest.path}/{place} of the same submitter; leave it out"
                )


def copies(context: Context) -> Iterator[Failure]:
    """A record of another submitter is no reproduction: two runs do not take the same time to the nanosecond."""
    submitter = context.bundle.manifest.submitter
    for path, record in context.bundle.all_records.items():
        for bundle, place, other in context.other_trials.get(record.id, []):
            if bundle.manifest.submitter != submitter and _same_times(record, other) > COPIED:
                yield Failure(path, f"is a copy of {bundle.manifest.path}/{place}, times included; train it yourself")


def _same_times(one: Record, other: Record) -> float:
    """Return the share of measured times that are equal."""
    pairs = [
        (seconds, second.seconds.get(purpose))
        for first, second in zip(one.curves, other.curves, strict=False)
        for purpose, seconds in first.seconds.items()
        if seconds > 0
    ]
    pairs += [
        (seconds, other.profile.seconds.get(name)) for name, seconds in one.profile.seconds.items() if seconds > 0
    ]
    return sum(first == second for first, second in pairs) / len(pairs) if pairs else 0.0


def same_data(context: Context) -> Iterator[Failure]:
    """Clips of one digest are of one kind, and have the same labels in every record."""
    kinds: dict[str | None, tuple[str, str]] = {}
    for bundle in (*context.others, context.bundle):
        for path, record in bundle.all_records.items():
            kind, place = kinds.setdefault(record.request.dataset.manifest, (record.data.kind, path))
            if bundle is context.bundle and kind != record.data.kind:
                yield Failure(path, f"calls clips {record.data.kind} that are {kind} in {place}; do not edit records")
    yield from _other_labels(context)


def _other_labels(context: Context) -> Iterator[Failure]:
    """Yield the records whose test clips, or their labels, are not those of the first record on the same clips."""
    wanted = {_key(record) for record in context.bundle.records.values()}
    first: dict[Key, tuple[str, str]] = {}
    for bundle in (*context.others, context.bundle):
        for path, record in bundle.records.items():
            key = _key(record)
            if key not in wanted or record.request.recipe.limit_clips or record.data.skipped:
                continue
            if bundle is not context.bundle and key in first:
                continue  # one record of the store is enough
            try:
                labels = _labels(bundle, path)
            except (RefusedError, KeyError):
                continue  # said where scores are recomputed
            known, place = first.setdefault(key, (labels, path))
            if bundle is context.bundle and labels != known:
                yield Failure(path, f"has other test clips or labels than {place} on the same data; do not edit them")


def _key(record: Record) -> Key:
    """Return what decides the test clips and labels of a trial."""
    request, protocol = record.request, record.request.protocol
    return request.dataset.name, request.dataset.manifest, request.fold, protocol.openmic_test, protocol.openmic_labels


def _labels(bundle: Bundle, path: str) -> str:
    """Return a digest of the test clips of a record and their labels, in any order of the clips."""
    arrays = bundle.arrays(path)
    order = np.argsort(arrays["clips_test"], kind="stable")
    found = hashlib.sha256()
    for name in ("clips_test", "targets_test", "observed_test"):
        array = arrays[name][order]
        is_text = array.dtype.kind == "U"
        found.update("\n".join(array).encode() if is_text else array.astype(np.float32).tobytes())
    return found.hexdigest()
