"""Divide CPUs and GPUs between trials."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.data.parallel import usable_cores
from benchmark.errors import BenchmarkError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Node:
    """One machine. A trial must fit on one machine.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs.
        gpu_bytes: memory of its smallest GPU; None if unknown or without GPU.
    """

    cpus: float
    gpus: float
    gpu_bytes: int | None = None


@dataclass(frozen=True)
class Share:
    """Resources of one trial.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs; fractions share a GPU.
    """

    cpus: int
    gpus: float

    def slots(self, nodes: Sequence[Node]) -> int:
        """Return how many trials run at the same time."""
        return sum(int(min(node.cpus / self.cpus, node.gpus / self.gpus if self.gpus else math.inf)) for node in nodes)

    def undisturbed(self, nodes: Sequence[Node]) -> float:
        """Return how many trials run at the same time and at full speed.

        Sharing a GPU is assumed to save no time, as the trials slow each other down.
        """
        gpus = sum(node.gpus for node in nodes)
        return min(gpus, self.slots(nodes)) if self.gpus else self.slots(nodes)

    @property
    def bundle(self) -> dict[str, float]:
        """Return the resources in Ray's form."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}


PARTS = (8, 6, 4, 3, 2, 1)  # trials per GPU; few different shares, as workers are reused only within a share


def pack(
    nodes: Sequence[Node], memory: Mapping[str, int], cpus: int | None, gpus: float | None, *, exclusive: bool
) -> dict[str, Share]:
    """Return the resources of every trial by id. Trials that need little GPU memory share a GPU.

    Args:
        nodes: machines.
        memory: bytes of GPU memory that each trial needs, by id.
        cpus: cores of a trial; None divides the cores.
        gpus: GPUs of a trial; None packs by memory.
        exclusive: no other trial may run on the trial's device.

    Raises:
        BenchmarkError: as `share`.
    """
    node = max(nodes, key=lambda node: (node.gpus, node.cpus))
    if gpus is not None or exclusive or not node.gpus or not node.gpu_bytes:
        same = share(nodes, cpus, gpus, exclusive=exclusive)
        return dict.fromkeys(memory, same)
    most = node.cpus / node.gpus / (cpus or 1)
    shares = {}
    for trial_id, need in memory.items():
        parts = next((n for n in PARTS if n <= most and n * need <= node.gpu_bytes), 1)
        shares[trial_id] = share(nodes, cpus, int(1e4 / parts) / 1e4, exclusive=False)
    return shares


def share(nodes: Sequence[Node], cpus: int | None, gpus: float | None, *, exclusive: bool) -> Share:
    """Return the resources of one trial: those asked for, else one GPU and its part of the cores, else one core.

    Args:
        nodes: machines; the largest one decides.
        cpus: cores asked for; None for the default.
        gpus: GPUs asked for, 0 uses none; None for the default.
        exclusive: no other trial may run on the trial's device.

    Raises:
        BenchmarkError: no machine is large enough, or an exclusive trial would share its device.
    """
    node = max(nodes, key=lambda node: (node.gpus, node.cpus))
    if gpus is None:
        gpus = 1.0 if node.gpus else 0.0
    if exclusive and gpus % 1:
        raise BenchmarkError(f"--exclusive: a trial that uses {gpus} of a GPU shares it; use --gpus-per-trial 1")
    if exclusive and not gpus and cpus is not None:
        raise BenchmarkError(
            "--exclusive gives a trial all CPUs; leave out --cpus-per-trial, or limit them with --cpus"
        )
    if cpus is None:
        at_once = max(1, int(node.gpus / gpus + 1e-3)) if gpus else node.cpus
        cpus = int(node.cpus) if exclusive and not gpus else max(1, int(node.cpus / at_once))
    if cpus > node.cpus or gpus > node.gpus:
        raise BenchmarkError(
            f"a trial asks for {cpus} CPUs and {gpus:g} GPUs, but the largest machine has {node.cpus:g} CPUs and "
            f"{node.gpus:g} GPUs; change --cpus-per-trial or --gpus-per-trial"
        )
    return Share(cpus, gpus)


def gpus_here() -> list[tuple[str, int]]:
    """Return name and bytes of memory of each GPU of this machine, without starting CUDA."""
    import pynvml

    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return [(str(pynvml.nvmlDeviceGetName(h)), int(pynvml.nvmlDeviceGetMemoryInfo(h).total)) for h in handles]
    except pynvml.NVMLError as error:
        logger.debug("no GPU: %s", error)
        return []


def node_here() -> Node:
    """Return this machine."""
    gpus = gpus_here()
    return Node(usable_cores(), len(gpus), min((size for _, size in gpus), default=None))
