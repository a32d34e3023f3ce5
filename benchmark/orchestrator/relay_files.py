"""Files that workers of other machines send, on the driver's machine until they are in the results folder."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.records.schema import Attempt, Record
from benchmark.records.store import PREDICTIONS, WEIGHTS, ResultStore
from benchmark.trial.resume import ResumeFiles

RECORD, LOG = "record.json", "log"
NAMES = re.compile(r"log|attempt-\d+|record(\.json|\.npz|\.safetensors)")  # of the files in a result
IDS = re.compile(r"[0-9a-f]+")

Files = dict[str, bytes]
Kind = TypeVar("Kind", Attempt, Record)

logger = logging.getLogger(__name__)


class DamagedResultError(BenchmarkError):
    """A result that another machine sent cannot be used."""


class FileRelay:
    """Files that workers of other machines send to the driver's machine.

    Workers call it as an actor. The driver uses another instance on the same folders. All state is on disk, so that a
    relay whose process died continues where it was.

    Args:
        results: the results folder.
        inbox: folder for results until the driver takes them.
        stop: file whose presence asks trials to stop.
    """

    def __init__(self, results: Path, inbox: Path, stop: Path) -> None:
        self._results, self._inbox, self._stop = results, inbox, stop

    def put_result(self, trial_id: str, files: Files) -> None:
        """Store the result of a trial, in place of an earlier one.

        Args:
            trial_id: id of the trial.
            files: contents by name, see `remote_results.RemoteWorkspace.send_result`.

        Raises:
            DamagedResultError: a name is not one of a result's; nothing was stored.
            OSError: the disk of the driver's machine is full.
        """
        _require_names(trial_id, files)
        draft = self._inbox / f".{trial_id}.tmp"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for name, content in files.items():
            write_atomic(draft / name, content)
        self.drop_result(trial_id)
        draft.rename(self._inbox / trial_id)

    def result(self, trial_id: str) -> Files:
        """Return the files of a result; empty if there is none."""
        return {path.name: path.read_bytes() for path in sorted((self._inbox / trial_id).glob("*"))}

    def drop_result(self, trial_id: str) -> None:
        """Delete a result."""
        shutil.rmtree(self._inbox / trial_id, ignore_errors=True)

    def put_resume_state(self, trial_id: str, content: bytes) -> None:
        """Store the resume state of a trial in the results folder, where any machine may continue from it."""
        _require_names(trial_id, {})
        write_atomic(ResumeFiles.of(self._results, trial_id).last, content)

    def resume_state(self, trial_id: str) -> bytes | None:
        """Return the resume state of a trial; None if there is none."""
        with contextlib.suppress(OSError):
            return ResumeFiles.of(self._results, trial_id).last.read_bytes()
        return None

    def stopping(self) -> bool:
        """Return True when the user asked to stop."""
        return self._stop.exists()


def write_results(store: ResultStore, trial_id: str, files: Files) -> None:
    """Write what a worker sent into a results folder.

    Args:
        store: the results folder.
        trial_id: id of the trial.
        files: contents by name, see `remote_results.RemoteWorkspace.send_result`.

    Raises:
        DamagedResultError: the files cannot be those of the trial; nothing was written.
        OSError: the folder cannot be written.
    """
    _require_names(trial_id, files)
    attempts = [
        _parsed(Attempt, trial_id, name, content) for name, content in files.items() if name.startswith("attempt-")
    ]
    if RECORD in files:
        _parsed(Record, trial_id, RECORD, files[RECORD])
        if not zipfile.is_zipfile(BytesIO(files.get("record" + PREDICTIONS, b""))):
            raise DamagedResultError(f"{trial_id}: a damaged result arrived (no predictions); run the trial again")
    for attempt in attempts:
        store.write_attempt(attempt)
    if RECORD in files:
        store.put(files[RECORD], files["record" + PREDICTIONS], files.get("record" + WEIGHTS))
    if log := files.get(LOG):
        write_atomic(store.log_path(trial_id), log)
    logger.debug("%s: collected %s", trial_id, ", ".join(files) or "nothing")


def _parsed(kind: type[Kind], trial_id: str, name: str, content: bytes) -> Kind:
    """Return a record or an attempt that arrived.

    Args:
        kind: what it should be.
        trial_id: trial that it should be of.
        name: its name in the result.
        content: JSON.

    Raises:
        DamagedResultError: it does not follow the schema, or is of another trial.
    """
    try:
        parsed = kind.model_validate_json(content)
    except ValidationError:
        raise DamagedResultError(
            f"{trial_id}: a damaged result arrived ({name} does not follow the schema); run the trial again"
        ) from None
    if parsed.id != trial_id:
        raise DamagedResultError(f"{trial_id}: a result arrived that is of trial {parsed.id}; run the trial again")
    return parsed


def _require_names(trial_id: str, files: Files) -> None:
    """Refuse names that are not those of a result: they become paths."""
    wrong = [name for name in files if not NAMES.fullmatch(name)]
    if not IDS.fullmatch(trial_id):
        wrong.append(trial_id)
    if wrong:
        raise DamagedResultError(f"{trial_id}: a damaged result arrived (unknown name {wrong[0]!r})")
