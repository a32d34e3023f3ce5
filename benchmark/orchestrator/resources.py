"""CPUs and GPUs per trial, and how many trials that lets run at once."""

from __future__ import annotations

import os
from dataclasses import dataclass

from benchmark.errors import BenchmarkError


@dataclass(frozen=True)
class Machine:
    """What there is to share: CPU cores and GPUs of this machine, or of a Ray cluster."""

    cpus: float
    gpus: float


@dataclass(frozen=True)
class Share:
    """What one trial gets; GPUs may be fractions."""

    cpus: int
    gpus: float

    def slots(self, machine: Machine) -> int:
        """Trials that run at once."""
        by_cpu = machine.cpus / self.cpus
        return int(min(by_cpu, machine.gpus / self.gpus) if self.gpus else by_cpu)

    @property
    def bundle(self) -> dict[str, float]:
        """As Ray wants it."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}


def own_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(machine: Machine, cpus: int | None, gpus: float | None, *, exclusive: bool) -> Share:
    """Resources of one trial: as asked, else one GPU and its part of the cores, else one core.

    Args:
        machine: what there is.
        cpus: cores asked for.
        gpus: GPUs asked for, 0 to keep off them.
        exclusive: nothing else may run on the trial's device.

    Raises:
        BenchmarkError: no trial would ever fit, or an exclusive trial is to share its GPU.
    """
    if gpus is None:
        gpus = 1.0 if machine.gpus else 0.0
    if exclusive and gpus % 1:
        raise BenchmarkError(f"--exclusive: a trial cannot have {gpus} of a GPU to itself; use --gpus-per-trial 1")
    if cpus is None:
        at_once = max(1, int(machine.gpus / gpus)) if gpus else machine.cpus
        cpus = int(machine.cpus) if exclusive and not gpus else max(1, int(machine.cpus / at_once))
    if cpus > machine.cpus or gpus > machine.gpus:
        raise BenchmarkError(
            f"a trial asks for {cpus} CPUs and {gpus:g} GPUs, but there are {machine.cpus:g} and {machine.gpus:g}; "
            "change --cpus-per-trial or --gpus-per-trial"
        )
    return Share(cpus, gpus)
