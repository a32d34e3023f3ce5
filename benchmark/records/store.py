"""A results folder: records, failed attempts, step profiles and the list of submitted trials."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from benchmark.commands import command
from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.records.choice import Choice
from benchmark.records.environment import CHECKPOINTING, EAGER, checkpointing, compilation
from benchmark.records.schema import SCHEMA_VERSION, Attempt, Record, SharingProfile, StepProfile
from benchmark.spec.request import TrialRequest

AnyProfile = TypeVar("AnyProfile", StepProfile, SharingProfile)

logger = logging.getLogger(__name__)

# Folders of a results folder.
TRIALS = "trials"  # records, with predictions and weights beside them
TUNING = "tuning"  # how settings were chosen: the trials of all candidates, and the choices
CHOICE_TRIALS, CHOICES = f"{TUNING}/trials", f"{TUNING}/choices"
ATTEMPTS = "attempts"  # failed attempts
PROFILES = "profiles"  # of training steps, alone and at the same time
LOGS = "logs"  # one log per trial
RESUME = "resume"  # states from which interrupted trials continue
LEASES = "leases"  # which process trains a trial now
CONFLICTS = "conflicts"  # records with other results, from `merge`
SCRATCH = ".tune"  # temporary files of Ray Tune
CACHE = ".cache"  # numbers of reports, computed again when they are missing
GRID_FILE = "grid.json"  # submitted trials

PREDICTIONS, WEIGHTS = ".npz", ".safetensors"  # suffixes of the files beside a record
BESIDE = (PREDICTIONS, WEIGHTS)
MAX_IDS_SHOWN = 4  # in an error message


class Finished(NamedTuple):
    """What a plan needs of a record.

    Attributes:
        is_current: whether this code computes the same numbers.
        seconds: time of the trial.
        score: the reported score in [0, 1]; None where the epoch is chosen over all folds, and of a diverged trial.
        keeps_weights: whether its trained parameters are here, for `export`.
    """

    is_current: bool
    seconds: float
    score: float | None = None
    keeps_weights: bool = False


class DamagedRecordError(BenchmarkError):
    """A record that is incomplete or does not follow the schema."""


class ResultStore:
    """Reads and writes one results folder. Nothing is kept in memory: every call reads the files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def exists(self) -> bool:
        """Whether this is a results folder."""
        folders = (self.folder / TRIALS, self.folder / TUNING, self.folder / PROFILES)
        return any(path.is_dir() for path in folders) or self._grid.is_file()

    def require(self) -> None:
        """Check that this is a results folder.

        Raises:
            BenchmarkError: it is not one.
        """
        if not self.exists:
            how = command("run", "--grid", "NAME", "--results", self.folder)
            raise BenchmarkError(f"{self.folder}: no results here; create some with `{how}`")

    def record_path(self, request: TrialRequest) -> Path:
        """Return the path of a request's record, whether it exists or not."""
        folder = CHOICE_TRIALS if request.held_out else TRIALS
        return self.folder / folder / f"{request.path_stem}.json"

    def log_path(self, trial_id: str) -> Path:
        """Return the path of a trial's log."""
        return self.folder / LOGS / "trials" / f"{trial_id}.log"

    def weights_path(self, request: TrialRequest) -> Path:
        """Return the path of a trial's trained weights, which exist only if they were kept."""
        return self.record_path(request).with_suffix(WEIGHTS)

    def write(self, record: Record, predictions: dict[str, npt.NDArray[Any]], weights: bytes | None = None) -> None:
        """Write predictions and weights, then the record: a trial with a record is finished.

        Args:
            record: the record.
            predictions: arrays of the predictions file, by name.
            weights: content of the weights file; None removes an earlier one.
        """
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **predictions)  # type: ignore[arg-type]  # numpy's stub takes no mapping
        self.put(_dump(record), buffer.getvalue(), weights)

    def put(self, content: bytes, predictions: bytes, weights: bytes | None = None) -> None:
        """Write the files of a finished trial and remove those of an earlier record of the same trial.

        Args:
            content: the record as JSON.
            predictions: content of the predictions file.
            weights: content of the weights file; None removes an earlier one.

        Raises:
            ValidationError: the record does not follow the schema; nothing was written.
        """
        record = Record.model_validate_json(content)
        path = self.record_path(record.request)
        write_atomic(path.with_suffix(PREDICTIONS), predictions)
        if weights is None:
            path.with_suffix(WEIGHTS).unlink(missing_ok=True)
        else:
            write_atomic(path.with_suffix(WEIGHTS), weights)
        write_atomic(path, content)
        # The file name has the method's changed hyper-parameters: it differs if the defaults were others at that time.
        for earlier in self._record_paths(record.id, CHOICE_TRIALS if record.request.held_out else TRIALS):
            if earlier != path:
                earlier.unlink()
                for suffix in BESIDE:
                    earlier.with_suffix(suffix).unlink(missing_ok=True)

    def read(self, path: Path) -> Record:
        """Read one record.

        Raises:
            DamagedRecordError: it does not follow the schema.
            BenchmarkError: it is of a newer schema, or the disk does not give it now.
        """
        try:
            data = json.loads(path.read_bytes())
            version = int(data["schema_version"])
            if version > SCHEMA_VERSION:
                raise BenchmarkError(
                    f"{path}: schema version {version} is newer than this program's ({SCHEMA_VERSION}); update it"
                )
            return Record.model_validate(data)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise DamagedRecordError(f"{path}: damaged record (it was removed); run the trial again") from None
            raise BenchmarkError(f"{path}: cannot be read now: {error.strerror}") from None
        except (ValueError, KeyError, TypeError) as error:
            reason = "does not follow the schema" if isinstance(error, ValidationError) else str(error)
            raise DamagedRecordError(f"{path}: damaged record ({reason}); run the trial again") from None

    def records(self) -> Iterator[Record]:
        """Yield every record of a result, in the order of the paths; a damaged one is skipped with a warning.

        Raises:
            BenchmarkError: as `read`, except for damaged ones.
        """
        return self._records(TRIALS)

    def choice_records(self) -> Iterator[Record]:
        """Yield every record of a trial that chooses a setting, as `records` does; they are no results."""
        return self._records(CHOICE_TRIALS)

    def _records(self, folder: str) -> Iterator[Record]:
        for path in self._record_paths(folder=folder):
            try:
                yield self.read(path)
            except DamagedRecordError as error:
                warnings.warn(f"{error}; it is skipped", stacklevel=2)

    def write_choice(self, choice: Choice) -> None:
        """Write a choice of a setting, in place of an earlier one among the same candidates."""
        write_atomic(self.folder / CHOICES / f"{choice.path_stem}.json", _dump(choice))

    def choices(self) -> list[Choice]:
        """Return every choice of a setting, in the order of the paths; a damaged one is skipped with a warning."""
        found = []
        for path in sorted((self.folder / CHOICES).rglob("*.json")):
            try:
                found.append(Choice.model_validate_json(path.read_bytes()))
            except (OSError, ValueError):
                warnings.warn(f"{path}: damaged choice; it is skipped, the same `run` writes it again", stacklevel=2)
        return found

    def find(self, prefix: str) -> Record:
        """Read the record of the trial whose id begins with `prefix`.

        Raises:
            BenchmarkError: no results here, no such record, several of them, or a damaged one.
        """
        self.require()
        paths = self._record_paths(f"{prefix}*") if re.fullmatch(r"[0-9a-f]{1,12}", prefix) else []
        ids = [path.stem.rpartition("-")[2] for path in paths]
        if not paths:
            how = command("status", "--trials", "--results", self.folder)
            raise BenchmarkError(f"{self.folder}: no finished trial '{prefix}'; `{how}` lists the ids")
        if len(paths) > 1:
            more = f" and {len(ids) - MAX_IDS_SHOWN} more" if len(ids) > MAX_IDS_SHOWN else ""
            raise BenchmarkError(
                f"'{prefix}' begins the ids of {len(ids)} trials: {', '.join(ids[:MAX_IDS_SHOWN])}{more}"
            )
        return self.read(paths[0])

    def finished(self) -> dict[str, Finished]:
        """Return what is known of each finished trial, by id; damaged records do not count."""
        found = {}
        for path in [*self._record_paths(), *self._record_paths(folder=CHOICE_TRIALS)]:
            try:
                record = self.read(path)
            except DamagedRecordError as error:
                logger.info("%s: the trial counts as not finished", error)
            else:
                seconds, weights = record.profile.seconds.get("total", 0.0), path.with_suffix(WEIGHTS)
                found[record.id] = Finished(record.is_current, seconds, record.score, weights.is_file())
        return found

    def _record_paths(self, trial_id: str = "*", folder: str = TRIALS) -> list[Path]:
        return sorted((self.folder / folder).rglob(f"f*-s*-{trial_id}.json"))

    def write_attempt(self, attempt: Attempt) -> Path:
        """Write a failed attempt, beside earlier ones of the same trial, and return its path."""
        number = max((_attempt_number(path) for path in self.attempts(attempt.id)), default=0) + 1
        path = self.folder / ATTEMPTS / f"{attempt.id}-{number}.json"
        write_atomic(path, _dump(attempt))
        return path

    def has_current(self, request: TrialRequest) -> bool:
        """Return whether a trial has a record and this code computes the same numbers."""
        try:
            return self.read(self.record_path(request)).is_current
        except BenchmarkError:
            return False

    def read_attempt(self, path: Path) -> Attempt | None:
        """Read a failed attempt; return None if it cannot be read."""
        try:
            return Attempt.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            logger.info("%s: damaged failed attempt, skipped", path)
            return None

    def attempts(self, trial_id: str = "*") -> list[Path]:
        """Return the files of failed attempts, oldest first."""
        return sorted((self.folder / ATTEMPTS).glob(f"{trial_id}-*.json"), key=_attempt_number)

    def write_profile(self, profile: StepProfile) -> Path:
        """Write the profile of a step, in place of one that ran in the same way on such a device; return its path."""
        return self._write_profile(profile, "")

    def profiles(self) -> Iterator[StepProfile]:
        """Yield every step profile, in the order of the paths; a damaged one is skipped with a warning."""
        return self._profiles(StepProfile, "*/*.json")

    def write_sharing(self, profile: SharingProfile) -> Path:
        """Write a sharing profile beside the step profiles of its device, in place of an earlier one; return its path.

        Measurements with and without MPS are kept.
        """
        return self._write_profile(profile, "sharing-mps" if profile.mps else "sharing")

    def sharing(self) -> Iterator[SharingProfile]:
        """Yield every sharing profile, in the order of the paths; a damaged one is skipped with a warning."""
        return self._profiles(SharingProfile, "*/sharing*/*.json")

    def _write_profile(self, profile: StepProfile | SharingProfile, kind: str) -> Path:
        device = re.sub(r"[^A-Za-z0-9]+", "-", profile.device).strip("-")
        how = "" if compilation(profile.environment) == EAGER else "-compiled"
        how += f"-{CHECKPOINTING}" if checkpointing(profile.environment) else ""
        folder = self.folder / PROFILES / f"{device}-{profile.threads}{how}" / kind
        path = folder / f"{profile.request.step_key}.json"
        write_atomic(path, _dump(profile))
        return path

    def _profiles(self, kind: type[AnyProfile], pattern: str) -> Iterator[AnyProfile]:
        for path in sorted((self.folder / PROFILES).glob(pattern)):
            try:
                yield kind.model_validate_json(path.read_bytes())
            except (OSError, ValueError):
                warnings.warn(f"{path}: damaged profile; it is skipped, `profile` measures it again", stacklevel=2)

    def submit(self, requests: Iterable[TrialRequest]) -> None:
        """Add trials to the list of submitted trials, from which `status` knows what is missing."""
        known = {request.id: request for request in self.submitted()}
        new = {request.id: request for request in requests}
        if not set(new) <= set(known):
            merged = {"trials": [request.model_dump(mode="json") for request in (known | new).values()]}
            write_atomic(self._grid, json.dumps({"schema_version": SCHEMA_VERSION, **merged}).encode())

    def submitted(self) -> list[TrialRequest]:
        """Return every trial that was submitted to this folder, in order.

        Raises:
            BenchmarkError: the list is damaged.
        """
        if not self._grid.is_file():
            return []
        try:
            return [TrialRequest.model_validate(trial) for trial in json.loads(self._grid.read_bytes())["trials"]]
        except (OSError, ValueError, KeyError, TypeError):
            raise BenchmarkError(f"{self._grid}: damaged; remove it and repeat the same `run`") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder while its list of trials or its synthetic audio is written; other runs of this machine wait.

        Raises:
            BenchmarkError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = (self.folder / ".lock").open("w")
        except OSError as error:
            raise BenchmarkError(f"{self.folder}: cannot be written: {error.strerror}") from None
        with handle:
            with contextlib.suppress(OSError):  # some file systems have no locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @property
    def _grid(self) -> Path:
        return self.folder / GRID_FILE


def _attempt_number(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def _dump(model: BaseModel) -> bytes:
    return model.model_dump_json(indent=1).encode() + b"\n"
