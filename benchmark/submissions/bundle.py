"""One submission, read without trust: its manifest, records and choices, and what could not be read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd
from pydantic import ValidationError

from benchmark.errors import BenchmarkError
from benchmark.records.choice import Choice
from benchmark.records.frame import tabulate
from benchmark.records.schema import SCHEMA_VERSION, Record
from benchmark.records.store import PREDICTIONS
from benchmark.spec.yaml import Spec
from benchmark.submissions import tree
from benchmark.submissions.arrays import MAX_NPZ_BYTES, Arrays, parse_arrays
from benchmark.submissions.layout import MANIFEST, Submission, read_model
from benchmark.submissions.reading import MAX_JSON_BYTES, MAX_SOURCE_BYTES, RefusedError, parse_json, read_bytes

MAX_BYTES = 2**30  # of a submission
PURPOSES = {"data", "train", "eval"}  # of the seconds of an epoch
Read = TypeVar("Read", bound=Spec)


@dataclass(frozen=True)
class Failure:
    """A rule that a submission breaks.

    Attributes:
        file: path in the submission; empty for the submission itself.
        text: what is wrong and what to do.
    """

    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.text}" if self.file else self.text


@dataclass(frozen=True)
class Digest:
    """Digest and size of a file."""

    sha256: str
    bytes: int


@dataclass
class Bundle:
    """A submission.

    Attributes:
        folder: of the submission.
        manifest: what it says of itself.
        files: digest of each file but the manifest, by path; empty unless asked for.
        records: records of results, by path.
        choosing: records of trials that chose a setting, by path.
        choices: choices of settings, by path.
        failures: what could not be read.
    """

    folder: Path
    manifest: Submission
    files: dict[str, Digest] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    choosing: dict[str, Record] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def all_records(self) -> dict[str, Record]:
        """Records of both kinds, by path."""
        return self.records | self.choosing

    def epochs(self) -> dict[str, int]:
        """Return the epoch whose predictions are shipped, by path: the reported one, of a diverged trial the last."""
        return reported_epochs(self.records) | reported_epochs(self.choosing)

    def arrays(self, path: str) -> Arrays:
        """Return the predictions beside a record.

        Raises:
            RefusedError: they cannot be read.
        """
        return parse_arrays(read_bytes((self.folder / path).with_suffix(PREDICTIONS), MAX_NPZ_BYTES))


def reported_epochs(records: dict[str, Record]) -> dict[str, int]:
    """Return the reported epoch of records by path; of a diverged trial the last one.

    Where folds choose an epoch together, they are the folds among these records.
    """
    trials, _ = tabulate(records.values())
    chosen = dict(zip(trials["id"], trials["epoch"], strict=True))
    last = {path: len(record.curves) for path, record in records.items()}
    return {path: last[path] if pd.isna(e := chosen[record.id]) else int(e) for path, record in records.items()}


def read_bundle(folder: Path, *, digests: bool = True) -> Bundle:
    """Read a submission; what cannot be read is among its failures.

    Args:
        folder: of the submission.
        digests: whether all files are read to compute their digests.

    Raises:
        BenchmarkError: there is no manifest that can be read; then nothing else is read.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise BenchmarkError(f"{folder}: is no folder of a submission")
    listed = tree.list_tree(folder)
    bundle = Bundle(folder, read_model(folder / MANIFEST, Submission))
    bundle.failures += [Failure(path, text) for path, text in listed.faults]
    bundle.failures += _too_large(folder, listed.files)
    if bundle.failures:
        return bundle
    for path in listed.files:
        if path == MANIFEST:
            continue
        try:
            if digests:
                content = read_bytes(folder / path, _limit(path))
                bundle.files[path] = Digest(hashlib.sha256(content).hexdigest(), len(content))
            if tree.RECORD.fullmatch(path):
                record = _read(folder / path, Record)
                if fault := _fault(record):
                    raise RefusedError(f"{fault}; submit the file that the suite wrote")
                (bundle.choosing if record.request.held_out else bundle.records)[path] = record
            elif tree.CHOICE_FILE.fullmatch(path):
                bundle.choices[path] = _read(folder / path, Choice)
        except RefusedError as error:
            bundle.failures.append(Failure(path, str(error)))
    bundle.failures += [*_twice(bundle.all_records), *_different_lengths(bundle.all_records)]
    return bundle


def _limit(path: str) -> int:
    if path.endswith(PREDICTIONS):
        return MAX_NPZ_BYTES
    return MAX_SOURCE_BYTES if tree.SOURCE_FILE.fullmatch(path) else MAX_JSON_BYTES


def _too_large(folder: Path, files: list[str]) -> Iterator[Failure]:
    total = sum((folder / path).lstat().st_size for path in files)
    if total > MAX_BYTES:
        yield Failure("", f"has {total:,} bytes, at most {MAX_BYTES:,} are taken; split it into several submissions")


def _read(path: Path, model: type[Read]) -> Read:
    """Read a record or choice.

    Raises:
        RefusedError: it cannot be read, is of a newer schema, or does not follow it.
    """
    data = parse_json(read_bytes(path, MAX_JSON_BYTES))
    version = data.get("schema_version") if isinstance(data, dict) else None
    if model is Record and isinstance(version, int) and version > SCHEMA_VERSION:
        raise RefusedError(f"is of schema version {version}, this program knows {SCHEMA_VERSION}; update it")
    try:
        return model.model_validate(data)
    except (ValidationError, RecursionError) as error:
        raise RefusedError(
            f"does not follow the schema ({_first(error)}); submit the file that the suite wrote"
        ) from None


def _fault(record: Record) -> str | None:
    """Return how the parts of a record contradict each other, so that it cannot be tabulated; None if they do not."""
    if [point.epoch for point in record.curves] != list(range(1, len(record.curves) + 1)):
        return "has curves whose epochs are not numbered from 1"
    if record.selection.epoch is not None and record.selection.epoch < 1:
        return f"reports epoch {record.selection.epoch}"
    if any(not point.seconds.keys() >= PURPOSES for point in record.curves):
        return f"has epochs without the seconds of {', '.join(sorted(PURPOSES))}"
    return None


def _twice(records: dict[str, Record]) -> Iterator[Failure]:
    first: dict[str, str] = {}
    for path, record in records.items():
        if (other := first.setdefault(record.id, path)) != path:
            yield Failure(path, f"has the trial {record.id} of {other}; keep one of them")


def _different_lengths(records: dict[str, Record]) -> Iterator[Failure]:
    """Yield trials that choose an epoch together and have different numbers of epochs."""
    lengths: dict[tuple[str, int, int], int] = {}
    for path, record in records.items():
        if record.selection.scope == "folds" and record.status == "completed":
            request, epochs = record.request, len(record.curves)
            if (other := lengths.setdefault((request.cell, request.seed, request.draw), epochs)) != epochs:
                yield Failure(path, f"has {epochs} epochs and another fold {other}; they choose one epoch together")


def _first(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "too deep"
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
