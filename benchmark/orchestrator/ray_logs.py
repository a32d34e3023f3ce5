"""Why a Ray of our own died: what its logs and the machine say."""

from __future__ import annotations

import os
import re
from pathlib import Path

from benchmark.data.parallel import usable_cores

LOGS = ("raylet.err", "raylet.out", "gcs_server.err", "gcs_server.out")
FATAL = re.compile(r"^\[[^]]* C \d+ \d+\][^:]*:\d+: (.*)$", re.MULTILINE)  # Ray's lines of severity "critical"
PREAMBLE = re.compile(r".*?Check failed: \S+ ")
TAIL_BYTES = 2**20
MAX_CAUSE = 200  # characters
BUSY = 2  # load per core


def session_logs(folder: Path, pid: int | None = None) -> Path | None:
    """Return the folder of the logs of the newest Ray that a process started; None if there is none.

    Args:
        folder: Ray's folder for sockets and logs.
        pid: the process; None for this one.
    """
    sessions = [path for path in folder.glob(f"session_*_{pid or os.getpid()}") if (path / "logs").is_dir()]
    return max(sessions) / "logs" if sessions else None


def cause_of_death(logs: Path) -> str:
    """Return the last fatal error in the logs of Ray's daemons, in one line; empty if they have none."""
    for name in LOGS:
        try:
            with (logs / name).open("rb") as handle:
                handle.seek(max(0, handle.seek(0, os.SEEK_END) - TAIL_BYTES))
                text = handle.read().decode(errors="replace")
        except OSError:
            continue
        if found := FATAL.findall(text):
            line = PREAMBLE.sub("", found[-1]).strip()
            return line if len(line) <= MAX_CAUSE else f"{line[: MAX_CAUSE - 1]}…"
    return ""


def busy_machine() -> str:
    """Return how busy the machine is, if its load is above twice its cores; else nothing."""
    load, cores = os.getloadavg()[0], usable_cores()
    return f"load {load:.0f} on {cores} cores: the machine is busy" if load > BUSY * cores else ""
