"""A results folder: records under `trials/`, failed tries under `attempts/`, the submitted trials in `grid.json`."""

from __future__ import annotations

import fcntl
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from benchmark.errors import BenchmarkError
from benchmark.records.files import write_atomic
from benchmark.records.schema import SCHEMA_VERSION, Attempt, Record
from benchmark.spec.request import TrialRequest


class ResultStore:
    """Reads and writes one results folder. Nothing is kept in memory: the files are the truth."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def require(self) -> None:
        """Check that this is a results folder.

        Raises:
            BenchmarkError: it is not.
        """
        if not (self.folder / "trials").is_dir() and not self._grid.is_file():
            raise BenchmarkError(f"{self.folder}: no results here; make some with `run --results {self.folder}`")

    def record_path(self, request: TrialRequest) -> Path:
        """Where the record of a request is or will be."""
        return self.folder / "trials" / f"{request.path_stem}.json"

    def write(self, record: Record, predictions: dict[str, npt.NDArray[Any]]) -> None:
        """Write predictions (`.npz` beside the record), then the record, which makes the trial finished."""
        path = self.record_path(record.request)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **predictions)  # type: ignore[arg-type]  # numpy's stub takes no mapping
        write_atomic(path.with_suffix(".npz"), buffer.getvalue())
        write_atomic(path, _dump(record))

    def read(self, path: Path) -> Record:
        """One record.

        Raises:
            BenchmarkError: damaged, or of a newer schema.
        """
        try:
            data = json.loads(path.read_bytes())
            version = data["schema_version"]
            if version > SCHEMA_VERSION:
                raise BenchmarkError(
                    f"{path}: schema version {version} is newer than this program's {SCHEMA_VERSION}; update it"
                )
            return Record.model_validate(data)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = "does not follow the schema" if isinstance(error, ValidationError) else str(error)
            raise BenchmarkError(f"{path}: damaged record ({reason}); remove it and run the trial again") from None

    def records(self) -> Iterator[Record]:
        """Every record, in the order of the paths."""
        for path in sorted((self.folder / "trials").rglob("f*-s*-*.json")):
            yield self.read(path)

    def finished(self) -> dict[str, str]:
        """Fingerprint of every finished trial by id; a damaged record does not count as finished."""
        found = {}
        for path in (self.folder / "trials").rglob("f*-s*-*.json"):
            try:
                data = json.loads(path.read_bytes())
                found[data["id"]] = data["fingerprint"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return found

    def write_attempt(self, attempt: Attempt) -> Path:
        """Keep a failed try beside the earlier ones of the same trial."""
        number = len(self.attempts(attempt.id)) + 1
        path = self.folder / "attempts" / f"{attempt.id}-{number}.json"
        write_atomic(path, _dump(attempt))
        return path

    def attempts(self, trial_id: str = "*") -> list[Path]:
        """Files of failed tries, oldest first."""
        return sorted((self.folder / "attempts").glob(f"{trial_id}-*.json"))

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
        """Hold the folder against a second `run` on this machine; released by the kernel however this one ends.

        Raises:
            BenchmarkError: another run holds it, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = (self.folder / ".lock").open("w")
        except OSError as error:
            raise BenchmarkError(f"{self.folder}: cannot be written: {error.strerror}") from None
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise BenchmarkError(
                    f"{self.folder}: another run is at work here; wait for it or use another folder"
                ) from None
            yield

    @property
    def _grid(self) -> Path:
        return self.folder / "grid.json"


def _dump(model: BaseModel) -> bytes:
    return model.model_dump_json(indent=1).encode() + b"\n"
