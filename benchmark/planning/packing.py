"""CPUs and GPUs per trial, and how many trials that lets run at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.data.parallel import usable_cores
from benchmark.errors import BenchmarkError


@dataclass(frozen=True)
class Node:
    """CPU cores and GPUs of one machine, and the bytes of its smallest GPU; a trial has to fit on one."""

    cpus: float
    gpus: float
    gpu_bytes: int | None = None


@dataclass(frozen=True)
class Share:
    """What one trial gets; GPUs may be fractions."""

    cpus: int
    gpus: float

    def slots(self, nodes: Sequence[Node]) -> int:
        """Trials that run at once."""
        return sum(int(min(node.cpus / self.cpus, node.gpus / self.gpus if self.gpus else math.inf)) for node in nodes)

    @property
    def bundle(self) -> dict[str, float]:
        """As Ray wants it."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}


PARTS = (8, 6, 4, 3, 2, 1)  # few shapes: a worker is used again by trials of its own shape only


def pack(
    nodes: Sequence[Node], memory: Mapping[str, int], cpus: int | None, gpus: float | None, *, exclusive: bool
) -> dict[str, Share]:
    """Resources of every trial: as `share`, but trials that need little of a GPU's memory share it.

    Args:
        nodes: what there is.
        memory: bytes of GPU memory that each trial needs, by id.
        cpus: cores of a trial, None to divide what there is.
        gpus: GPUs of a trial, None to pack by memory.
        exclusive: no other trial may run on the trial's device.

    Raises:
        BenchmarkError: as `share`.
    """
    node = max(nodes, key=lambda node: (node.gpus, node.cpus))
    if gpus is not None or exclusive or not node.gpus or not node.gpu_bytes:
        one = share(nodes, cpus, gpus, exclusive=exclusive)
        return dict.fromkeys(memory, one)
    most = node.cpus / node.gpus / (cpus or 1)
    shares = {}
    for trial_id, need in memory.items():
        parts = next((n for n in PARTS if n <= most and n * need <= node.gpu_bytes), 1)
        shares[trial_id] = share(nodes, cpus, int(1e4 / parts) / 1e4, exclusive=False)
    return shares


def share(nodes: Sequence[Node], cpus: int | None, gpus: float | None, *, exclusive: bool) -> Share:
    """Resources of one trial: as asked, else one GPU and its part of the cores, else one core.

    Args:
        nodes: what there is; the largest decides.
        cpus: cores asked for.
        gpus: GPUs asked for, 0 to keep off them.
        exclusive: no other trial may run on the trial's device.

    Raises:
        BenchmarkError: no trial would ever fit, or an exclusive trial is to share its device.
    """
    node = max(nodes, key=lambda node: (node.gpus, node.cpus))
    if gpus is None:
        gpus = 1.0 if node.gpus else 0.0
    if exclusive and gpus % 1:
        raise BenchmarkError(f"--exclusive: a trial cannot have {gpus} of a GPU to itself; use --gpus-per-trial 1")
    if exclusive and not gpus and cpus is not None:
        raise BenchmarkError("--exclusive gives a trial all the CPUs; leave out --cpus-per-trial, or limit --cpus")
    if cpus is None:
        at_once = max(1, int(node.gpus / gpus + 1e-3)) if gpus else node.cpus
        cpus = int(node.cpus) if exclusive and not gpus else max(1, int(node.cpus / at_once))
    if cpus > node.cpus or gpus > node.gpus:
        raise BenchmarkError(
            f"a trial asks for {cpus} CPUs and {gpus:g} GPUs, but no machine has more than {node.cpus:g} and "
            f"{node.gpus:g}; change --cpus-per-trial or --gpus-per-trial"
        )
    return Share(cpus, gpus)


def gpus_here() -> list[tuple[str, int]]:
    """Name and bytes of memory of this machine's GPUs, without starting CUDA."""
    import pynvml

    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return [(str(pynvml.nvmlDeviceGetName(h)), int(pynvml.nvmlDeviceGetMemoryInfo(h).total)) for h in handles]
    except pynvml.NVMLError:
        return []


def node_here() -> Node:
    """This machine."""
    gpus = gpus_here()
    return Node(usable_cores(), len(gpus), min((size for _, size in gpus), default=None))
