"""What machines have: cores, GPUs and memory. Only this module asks the control groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmark import nvml
from benchmark.data.parallel import usable_cores

RESERVED_BYTES = 2**30  # for the run's own process and Ray's daemons
PROCESS_GROUPS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Node:
    """One machine. A trial must fit on one machine.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs.
        gpu_bytes: memory of its smallest GPU, as Ray does not choose by size; None if unknown or without GPU.
        memory: bytes of host memory for trials; None if unknown.
        id: Ray's id of the machine; empty without Ray.
    """

    cpus: float
    gpus: float
    gpu_bytes: int | None = None
    memory: int | None = None
    id: str = ""


def node_here() -> Node:
    """Return this machine."""
    gpus, memory = nvml.gpus(), host_memory()
    smallest = min((size for _, size in gpus), default=None)
    return Node(usable_cores(), len(gpus), smallest, memory - min(RESERVED_BYTES, memory // 4))


def host_memory() -> int:
    """Return the bytes of memory that this process may use: those of the machine or of its container."""
    return min([psutil.virtual_memory().total, *_limits(PROCESS_GROUPS, GROUPS)])


def _limits(process_groups: Path, groups: Path) -> Iterator[int]:
    """Yield the memory limits of the control groups of this process, and of the groups around them.

    Args:
        process_groups: file with a line `NUMBER:CONTROLLERS:PATH` per hierarchy; version 2 names no controllers.
        groups: where the groups are.
    """
    try:
        lines = process_groups.read_text().splitlines()
    except OSError:
        return  # not Linux
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, name = (groups / "memory", "memory.limit_in_bytes") if controllers else (groups, "memory.max")
        # in a container the path is that of the host, and only the root is there
        for folder in [root, *(root / part for part in (Path(path.lstrip("/")), *Path(path.lstrip("/")).parents))]:
            try:
                text = (folder / name).read_text().strip()
            except OSError:
                continue
            if text.isdecimal():  # without a limit: `max`
                yield int(text)
