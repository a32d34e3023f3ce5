"""Leases on trials, kept alive by a heartbeat.

Two runs may share a results folder, on one machine or on several machines with a common file system. Only the holder of
a trial's lease trains the trial. A lease whose holder is dead is taken over. A holder that lost its lease by mistake
(because its machine slept) finds another token in the lease file and writes nothing more.

A holder on this machine, in the same PID namespace, is alive while its process is. Any other is judged by its
heartbeat: the time of the lease file against the time of a file that is written now, both of the file system's clock.
That clock may be set, too. So a lease that looks dead is taken over only if no heartbeat comes while it is watched.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.records.process import ProcessIdentity
from benchmark.records.store import LEASES

logger = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
DEAD_AFTER_SECONDS = 60.0  # without a heartbeat; used if the process of the holder cannot be seen from here
WATCHED_BEATS = 1.5  # how long a lease that looks dead is watched before it is taken over, in heartbeats


class LostLeaseError(BenchmarkError):
    """Another process has taken over this trial."""


class Lease:
    """A held lease; leaving its `with` block ends it.

    Attributes:
        path: the lease file.
        token: random text in the file, which shows who holds the lease.
    """

    def __init__(self, path: Path, token: str) -> None:
        self.path = path
        self.token = token
        self._ended = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    @classmethod
    def take(cls, folder: Path, trial_id: str) -> Lease | None:
        """Take the lease of a trial; return None while a living process holds it.

        Args:
            folder: the results folder.
            trial_id: the trial.
        """
        path, token = folder / LEASES / f"{trial_id}.json", uuid.uuid4().hex
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps({"token": token, **asdict(ProcessIdentity.this())}).encode()
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            if alive(path) or _beats(path):
                logger.debug("%s: leased by another process", trial_id)
                return None
            logger.info("%s: taking over the lease of a dead process", trial_id)
            write_atomic(path, content)
        else:
            try:
                with os.fdopen(descriptor, "wb") as handle:
                    handle.write(content)
            except OSError:  # an empty file would be taken for the lease of another run
                path.unlink(missing_ok=True)
                raise
        # Two processes may take over the same lease: the token in the file decides who holds it.
        return cls(path, token) if _read(path).get("token") == token else None

    def check(self) -> None:
        """Check that this process still holds the lease; call it before every write.

        Raises:
            LostLeaseError: another process has taken over the trial.
        """
        if _read(self.path).get("token") != self.token:
            raise LostLeaseError(f"{self.path.stem}: another process has taken over this trial")

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError, LostLeaseError):
            self.check()
            self.path.unlink()

    def _beat(self) -> None:
        """Renew the time of the lease file until the lease ends."""
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self.path)


def alive(path: Path) -> bool:
    """Return whether the holder of a lease file is running: its process on this machine, its heartbeat elsewhere."""
    holder = ProcessIdentity.parse(_read(path))
    state = holder.state() if holder else "unknown"
    if state != "unknown":
        return state == "running"
    try:
        # A time in the future is of a clock that was set back: no sign of life.
        return abs(_file_system_time(path.parent) - path.stat().st_mtime) < DEAD_AFTER_SECONDS
    except OSError:
        return False


def held_by_this_process(path: Path) -> bool:
    """Return whether a lease file is of this process, be it of an earlier program that `exec` replaced."""
    return ProcessIdentity.parse(_read(path)) == ProcessIdentity.this()


def _beats(path: Path) -> bool:
    """Return whether the holder of a lease that looks dead is alive after all: watch for its next heartbeat.

    The file system's clock may have been set since the last one. Only the local monotonic clock takes part here.
    """
    holder = ProcessIdentity.parse(_read(path))
    if holder and holder.state() == "ended":
        return False
    try:
        before, deadline = path.stat().st_mtime_ns, time.monotonic() + WATCHED_BEATS * BEAT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(BEAT_SECONDS / 20)
            if path.stat().st_mtime_ns != before:
                return True
    except OSError:  # the holder ended it
        return False
    return False


def leased(folder: Path) -> set[str]:
    """Return the ids of the trials of a results folder that are being trained."""
    return {path.stem for path in (folder / LEASES).glob("*.json") if alive(path)}


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a lease file; empty if the file is missing or only partly written."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _file_system_time(folder: Path) -> float:
    """Return the time of the file system's clock, which heartbeats are in."""
    probe = folder / f".clock-{uuid.uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        probe.unlink(missing_ok=True)
