"""What machines have: cores, GPUs and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from benchmark import cgroups, nvml
from benchmark.data.parallel import usable_cores

RESERVED_BYTES = 2**30  # for the run's own process and Ray's daemons


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
    return Node(usable_cores(), len(gpus), smallest_memory(gpus), memory - min(RESERVED_BYTES, memory // 4))


def smallest_memory(gpus: Sequence[tuple[str, int | None]]) -> int | None:
    """Return the bytes of memory of the smallest of `nvml.gpus()`; None if one is unknown, or there is none."""
    sizes = [size for _, size in gpus if size is not None]
    return min(sizes) if sizes and len(sizes) == len(gpus) else None


def host_memory() -> int:
    """Return the bytes of memory that this process may use: those of the machine or of its container."""
    total = psutil.virtual_memory().total
    return min(total, cgroups.memory_limit() or total)
