"""A results folder: records under `trials/`, failed tries under `attempts/`, the submitted trials in `grid.json`."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.records.schema import SCHEMA_VERSION, Attempt, Record, StepProfile
from benchmark.spec.request import TrialRequest

PREDICTIONS, WEIGHTS = ".npz", ".safetensors"  # beside a record, under its name
BESIDE = (PREDICTIONS, WEIGHTS)
SHOWN = 4


class DamagedRecordError(BenchmarkError):
    """A record that is torn or does not follow the schema."""


class ResultStore:
    """Reads and writes one results folder. Nothing is kept in memory: the files are the truth."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def require(self) -> None:
        """Check that this is a results folder.

        Raises:
            BenchmarkError: it is not.
        """
        folders = (self.folder / "trials", self.folder / "profiles")
        if not any(path.is_dir() for path in folders) and not self._grid.is_file():
            raise BenchmarkError(f"{self.folder}: no results here; make some with `run --results {self.folder}`")

    def record_path(self, request: TrialRequest) -> Path:
        """Where the record of a request is or will be."""
        return self.folder / "trials" / f"{request.path_stem}.json"

    def log_path(self, trial_id: str) -> Path:
        """Where a trial tells how it goes."""
        return self.folder / "logs" / "trials" / f"{trial_id}.log"

    def weights_path(self, request: TrialRequest) -> Path:
        """Where what a trial trained is, if it was kept."""
        return self.record_path(request).with_suffix(WEIGHTS)

    def write(self, record: Record, predictions: dict[str, npt.NDArray[Any]], weights: bytes | None = None) -> None:
        """Write predictions and weights beside the record, then the record, which makes the trial finished."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **predictions)  # type: ignore[arg-type]  # numpy's stub takes no mapping
        self.put(_dump(record), buffer.getvalue(), weights)

    def put(self, content: bytes, predictions: bytes, weights: bytes | None = None) -> None:
        """Write the files of a finished trial, as they are to stand, at their place; those of an earlier record go.

        Raises:
            ValidationError: what could not be read again must not count as finished.
        """
        record = Record.model_validate_json(content)
        path = self.record_path(record.request)
        write_atomic(path.with_suffix(PREDICTIONS), predictions)
        if weights is None:
            path.with_suffix(WEIGHTS).unlink(missing_ok=True)
        else:
            write_atomic(path.with_suffix(WEIGHTS), weights)
        write_atomic(path, content)
        for other in self._record_paths(record.id):  # under another name, from other defaults of a method
            if other != path:
                other.unlink()
                for suffix in BESIDE:
                    other.with_suffix(suffix).unlink(missing_ok=True)

    def read(self, path: Path) -> Record:
        """One record.

        Raises:
            BenchmarkError: damaged, or of a newer schema.
        """
        try:
            data = json.loads(path.read_bytes())
            version = int(data["schema_version"])
            if version > SCHEMA_VERSION:
                raise BenchmarkError(
                    f"{path}: schema version {version} is newer than this program's {SCHEMA_VERSION}; update it"
                )
            return Record.model_validate(data)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = "does not follow the schema" if isinstance(error, ValidationError) else str(error)
            raise DamagedRecordError(f"{path}: damaged record ({reason}); run the trial again") from None

    def records(self) -> Iterator[Record]:
        """Every record, in the order of the paths; one that cannot be read is left out with a warning.

        Raises:
            BenchmarkError: a record is of a newer schema.
        """
        for path in self._record_paths():
            try:
                yield self.read(path)
            except DamagedRecordError as error:
                warnings.warn(f"{error}; it is left out", stacklevel=2)

    def find(self, prefix: str) -> Record:
        """The record of a trial whose id begins so.

        Raises:
            BenchmarkError: no results here, no such record, several, or a damaged one.
        """
        self.require()
        paths = self._record_paths(f"{prefix}*") if re.fullmatch(r"[0-9a-f]{1,12}", prefix) else []
        ids = [path.stem.rpartition("-")[2] for path in paths]
        if not paths:
            raise BenchmarkError(
                f"{self.folder}: no finished trial '{prefix}'; `status --results {self.folder}` lists the ids"
            )
        if len(paths) > 1:
            more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
            raise BenchmarkError(f"'{prefix}' begins the ids of {len(ids)} trials: {', '.join(ids[:SHOWN])}{more}")
        return self.read(paths[0])

    def finished(self) -> dict[str, bool]:
        """Whether the record of every finished trial is current, by id; a damaged record does not count as finished."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {record.id: record.is_current for record in self.records()}

    def _record_paths(self, trial_id: str = "*") -> list[Path]:
        return sorted((self.folder / "trials").rglob(f"f*-s*-{trial_id}.json"))

    def write_attempt(self, attempt: Attempt) -> Path:
        """Keep a failed try beside the earlier ones of the same trial."""
        number = max((_attempt_number(path) for path in self.attempts(attempt.id)), default=0) + 1
        path = self.folder / "attempts" / f"{attempt.id}-{number}.json"
        write_atomic(path, _dump(attempt))
        return path

    def has_current(self, request: TrialRequest) -> bool:
        """Whether a trial has a record, and this code computes the same numbers."""
        try:
            return self.read(self.record_path(request)).is_current
        except BenchmarkError:
            return False

    def read_attempt(self, path: Path) -> Attempt | None:
        """A failed try; None where it cannot be read."""
        try:
            return Attempt.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            return None

    def attempts(self, trial_id: str = "*") -> list[Path]:
        """Files of failed tries, oldest first."""
        return sorted((self.folder / "attempts").glob(f"{trial_id}-*.json"), key=_attempt_number)

    def write_profile(self, profile: StepProfile) -> Path:
        """Keep the profile of a step shape on a device in place of an earlier one."""
        device = re.sub(r"[^A-Za-z0-9]+", "-", profile.device).strip("-")
        path = self.folder / "profiles" / f"{device}-{profile.threads}" / f"{profile.request.step_key}.json"
        write_atomic(path, _dump(profile))
        return path

    def profiles(self) -> Iterator[StepProfile]:
        """Every profile that can be read, in the order of the paths."""
        for path in sorted((self.folder / "profiles").glob("*/*.json")):
            try:
                yield StepProfile.model_validate_json(path.read_bytes())
            except (OSError, ValueError):
                warnings.warn(f"{path}: damaged profile; it is left out, `profile` makes it again", stacklevel=2)

    def submit(self, requests: Iterable[TrialRequest]) -> None:
        """Add trials to the folder's submitted ones, so that `status` knows what is missing."""
        known = {request.id: request for request in self.submitted()}
        new = {request.id: request for request in requests}
        if not set(new) <= set(known):
            merged = {"trials": [request.model_dump(mode="json") for request in (known | new).values()]}
            write_atomic(self._grid, json.dumps({"schema_version": SCHEMA_VERSION, **merged}).encode())

    def submitted(self) -> list[TrialRequest]:
        """Every trial that was ever submitted to this folder, in order.

        Raises:
            BenchmarkError: the list is damaged.
        """
        if not self._grid.is_file():
            return []
        try:
            return [TrialRequest.model_validate(trial) for trial in json.loads(self._grid.read_bytes())["trials"]]
        except (OSError, ValueError, KeyError, TypeError):
            raise BenchmarkError(f"{self._grid}: damaged; remove it and give the same `run` again") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder while its list of trials or its synthetic audio is written; other runs of this machine wait.

        Raises:
            BenchmarkError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = (self.folder / ".lock").open("w")
        except OSError as error:
            raise BenchmarkError(f"{self.folder}: cannot be written: {error.strerror}") from None
        with handle:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @property
    def _grid(self) -> Path:
        return self.folder / "grid.json"


def _attempt_number(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def _dump(model: BaseModel) -> bytes:
    return model.model_dump_json(indent=1).encode() + b"\n"
