"""CPUs and GPUs per trial, and how many trials that lets run at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.errors import BenchmarkError


@dataclass(frozen=True)
class Node:
    """CPU cores and GPUs of one machine; a trial has to fit on one."""

    cpus: float
    gpus: float


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
        at_once = max(1, int(node.gpus / gpus)) if gpus else node.cpus
        cpus = int(node.cpus) if exclusive and not gpus else max(1, int(node.cpus / at_once))
    if cpus > node.cpus or gpus > node.gpus:
        raise BenchmarkError(
            f"a trial asks for {cpus} CPUs and {gpus:g} GPUs, but no machine has more than {node.cpus:g} and "
            f"{node.gpus:g}; change --cpus-per-trial or --gpus-per-trial"
        )
    return Share(cpus, gpus)
