"""Which process this is, for others that may run on another machine, in another container, or later.

No time of a clock takes part where the kernel offers better: clocks are set, and then one process has two start times.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

PROC = Path("/proc")
START_TOLERANCE_SECONDS = 2.0  # where there is no /proc: start times are of the clock, rounded by the system
ENDED = ("Z", "X")  # states in /proc/PID/stat: zombie, dead
State = Literal["running", "ended", "unknown"]


@dataclass(frozen=True)
class ProcessIdentity:
    """A process.

    Attributes:
        host: where its number is valid, see `this_host`.
        pid: its number.
        started: ticks between the start of the machine and its own start; without /proc, seconds since 1970.
    """

    host: str
    pid: int
    started: float

    @classmethod
    def this(cls) -> ProcessIdentity:
        """Return this process."""
        pid = os.getpid()
        started = _start_ticks(pid)
        return cls(this_host(), pid, psutil.Process(pid).create_time() if started is None else started)

    @classmethod
    def parse(cls, content: dict[str, Any]) -> ProcessIdentity | None:
        """Return the process of a mapping of the attributes; None if one is missing or of another kind."""
        match content:
            case {"host": str(host), "pid": int(pid), "started": int() | float() as started}:
                return cls(host, pid, started)
        return None

    def state(self) -> State:
        """Return whether the process is running; unknown if it is elsewhere or of a user whose processes are hidden."""
        if self.host != this_host():
            return "unknown"
        if not _has_proc():
            return _state_by_psutil(self)
        started = _start_ticks(self.pid)
        if started is not None:
            return "running" if started == self.started else "ended"
        return "unknown" if _is_hidden(self.pid) else "ended"


@functools.cache
def this_host() -> str:
    """Return a name for all processes that see each other's numbers: boot, PID namespace and host name.

    Two containers may have one host name, and two machines may have one PID namespace number.
    """
    parts = []
    with contextlib.suppress(OSError):
        parts.append((PROC / "sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(str((PROC / "self/ns/pid").readlink()))
    return " ".join([*parts, socket.gethostname()])


def _has_proc() -> bool:
    return (PROC / "self/stat").is_file()


def _start_ticks(pid: int) -> int | None:
    """Return the start of a process in ticks since the machine's start; None if it has ended or cannot be seen."""
    try:
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()  # the name may contain spaces
        return None if fields[0].decode() in ENDED else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _is_hidden(pid: int) -> bool:
    """Return whether a process without a file in /proc is one of another user: a system may hide those."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return not (PROC / str(pid)).exists()
    except (ProcessLookupError, OverflowError):
        pass
    return False


def _state_by_psutil(identity: ProcessIdentity) -> State:
    try:
        process = psutil.Process(identity.pid)
        difference = abs(process.create_time() - identity.started)
        running = process.status() != psutil.STATUS_ZOMBIE and difference < START_TOLERANCE_SECONDS
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return "ended"
    except psutil.AccessDenied:
        return "unknown"
    return "running" if running else "ended"
