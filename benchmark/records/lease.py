"""Who works on a trial: a lease in the results folder, alive while its holder is.

Two runs may share a results folder, on one machine or on several with one file system. A trial belongs to whoever holds
its lease; a lease whose holder is dead is taken over. A holder that was taken over by mistake (it slept) finds another
token in its lease and writes nothing more.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import psutil

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic

BEAT_SECONDS = 10.0
DEAD_AFTER_SECONDS = 60.0  # without a beat, where the holder's process cannot be looked at


class LostLeaseError(BenchmarkError):
    """Another process has taken this trial over."""


class Lease:
    """A lease that is held; `with` ends it."""

    def __init__(self, path: Path, token: str) -> None:
        self.path = path
        self.token = token
        self._ended = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    @classmethod
    def take(cls, folder: Path, trial_id: str) -> Lease | None:
        """Lease a trial of a results folder; None while somebody who is alive holds it."""
        path, token = folder / "leases" / f"{trial_id}.json", uuid.uuid4().hex
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps({"token": token, **_self()}).encode()
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            if alive(path):
                return None
            write_atomic(path, content)
        else:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(content)
        return cls(path, token) if _read(path).get("token") == token else None

    def check(self) -> None:
        """Make sure that the trial is still ours; called before everything that is written.

        Raises:
            LostLeaseError: it is not.
        """
        if _read(self.path).get("token") != self.token:
            raise LostLeaseError(f"{self.path.stem}: another process has taken this trial over")

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError, LostLeaseError):
            self.check()
            self.path.unlink()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self.path)


def alive(path: Path) -> bool:
    """Whether the holder of a lease is at work: by its process on this machine, by its beat elsewhere."""
    holder = _read(path)
    if holder.get("host") == socket.gethostname():
        with contextlib.suppress(psutil.Error, TypeError, ValueError):
            process = psutil.Process(int(holder["pid"]))
            return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - holder["born"]) < 2
        return False
    try:
        return _now(path.parent) - path.stat().st_mtime < DEAD_AFTER_SECONDS
    except OSError:
        return False


def leased(folder: Path) -> set[str]:
    """Ids of the trials that somebody is at work on."""
    return {path.stem for path in (folder / "leases").glob("*.json") if alive(path)}


def _self() -> dict[str, Any]:
    process = psutil.Process()
    return {"host": socket.gethostname(), "pid": process.pid, "born": process.create_time()}


def _read(path: Path) -> dict[str, Any]:
    """Empty where it is gone or is being written."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _now(folder: Path) -> float:
    """The file system's clock, which is the one that beats are in."""
    probe = folder / f".clock-{uuid.uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        probe.unlink(missing_ok=True)
