"""The files of a submission: what its manifest lists, where they are, and under which licence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from benchmark.records.store import CHOICE_TRIALS, PREDICTIONS, TRIALS
from benchmark.submissions.bundle import Digest, Failure
from benchmark.submissions.checks.context import Context
from benchmark.submissions.layout import MANIFEST
from benchmark.submissions.tree import PREDICTIONS_FILE


def listed(context: Context) -> Iterator[Failure]:
    """The manifest lists each file with its size and digest, and no other."""
    stated, found = context.bundle.manifest.files, context.bundle.files
    for path in sorted(found.keys() - stated.keys()):
        yield Failure(path, f"is not in {MANIFEST}; remove it, or submit again")
    for path in sorted(stated.keys() - found.keys()):
        yield Failure(MANIFEST, f"lists {path!a}, which is not there; submit again")
    for path in sorted(found.keys() & stated.keys()):
        if found[path] != Digest(stated[path].sha256, stated[path].bytes):
            yield Failure(path, f"is not the file that {MANIFEST} lists (sha256 or size differ); submit again")


def names(context: Context) -> Iterator[Failure]:
    """The folder is named as the manifest says, and each record as its trial."""
    bundle = context.bundle
    place = f"{bundle.folder.parent.name}/{bundle.folder.name}"
    if place != (said := f"{bundle.manifest.submitter}/{bundle.manifest.name}"):
        yield Failure(MANIFEST, f"says {said} but is in the folder {place}; do not copy or rename submissions")
    for path, record in bundle.all_records.items():
        folder = CHOICE_TRIALS if record.request.held_out else TRIALS
        if path != (expected := f"{folder}/{record.request.path_stem}.json"):
            yield Failure(path, f"is the record of {expected}; leave the names as `run` made them")


def complete(context: Context) -> Iterator[Failure]:
    """There are records, each with predictions, and no predictions without a record."""
    bundle = context.bundle
    if not bundle.records:
        yield Failure("", "has no record of a result; submit a folder with finished trials")
    expected = {str(PurePosixPath(path).with_suffix(PREDICTIONS)) for path in bundle.all_records}
    found = {path for path in bundle.files if PREDICTIONS_FILE.fullmatch(path)}
    for path in sorted(expected - found):
        yield Failure(path, "is missing: scores cannot be recomputed without predictions; submit again")
    for path in sorted(found - expected):
        yield Failure(path, "are predictions without a record; remove them")


def licence(context: Context) -> Iterator[Failure]:
    """All records of a store have one licence."""
    if (given := context.bundle.manifest.licence) != (wanted := context.store.licence):
        yield Failure(MANIFEST, f"gives the records under {given!a}; this store takes {wanted}")
