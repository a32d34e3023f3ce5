"""Limits of containers and cluster jobs, set by Linux control groups of version 1 or 2. Only this module reads them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def core_limit(root: Path = ROOT) -> float | None:
    """Return how many cores this process may use by its quota of CPU time; None without a quota.

    Args:
        root: of the file system.
    """
    limits = []
    for folder, version in _folders(root, "cpu"):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # not there, or `max`: no limit
            if version == 1:
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                quota, period = ((folder / name).read_text() for name in names)
            else:
                quota, period = (folder / "cpu.max").read_text().split()
            limits.append(int(quota) / int(period))
    return min((limit for limit in limits if limit > 0), default=None)  # version 1 has -1 for no limit


def memory_limit(root: Path = ROOT) -> int | None:
    """Return the bytes of memory that this process may use; None without a limit.

    Args:
        root: of the file system.
    """
    limits = []
    for folder, version in _folders(root, "memory"):
        for name in ("memory.limit_in_bytes",) if version == 1 else ("memory.max", "memory.high"):
            with contextlib.suppress(OSError, ValueError):  # not there, or `max`: no limit
                limits.append(int((folder / name).read_text()))
    return min(limits, default=None)


def _folders(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the folders that may limit this process: those of its groups and of the groups around them.

    Args:
        root: of the file system.
        controller: `cpu` or `memory`.

    Yields:
        A folder, and the version of its control group.
    """
    groups = root / "sys/fs/cgroup"
    with contextlib.suppress(OSError, ValueError):  # not Linux
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            # one line per hierarchy, NUMBER:CONTROLLERS:PATH; version 2 names no controllers
            _, controllers, path = line.split(":", 2)
            if not controllers:
                tops, version = (groups, groups / "unified"), 2
            elif controller in controllers.split(","):
                tops, version = (groups / controller, groups / controllers), 1
            else:
                continue
            inside = Path(path.lstrip("/"))
            # in a container the path may be that of the host, and only the top is there
            yield from ((top / part, version) for top in set(tops) for part in (inside, *inside.parents))
