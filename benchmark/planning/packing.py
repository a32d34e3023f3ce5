"""Divide CPUs, GPUs and memory between trials."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.errors import BenchmarkError
from benchmark.planning.memory import Need
from benchmark.planning.node import Node
from benchmark.planning.sharing import PARTS
from benchmark.units import data_size

# Processes that load data for a trial. One reads 1,700 clips per second (OpenMIC with mixup) to 11,000 (ESC-50); an
# H100 trains linear probes, which are the fastest, on 960 and 2,400.
LOADERS = 4


@dataclass(frozen=True)
class Share:
    """Resources of one trial.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs; fractions share a GPU.
        memory: bytes of host memory; 0 if it is not counted.
        nodes: Ray's ids of the machines whose GPUs are large enough; empty if all are.
        gain: measured throughput of the trials that share a GPU, divided by that of one alone; 1 if it was not
            measured.
    """

    cpus: int
    gpus: float
    memory: int = 0
    nodes: tuple[str, ...] = ()
    gain: float = 1.0

    def slots(self, nodes: Sequence[Node]) -> int:
        """Return how many trials run at the same time."""
        return sum(int(self._on(node)) for node in nodes if not self.nodes or node.id in self.nodes)

    def _on(self, node: Node) -> float:
        by_memory = node.memory / self.memory if self.memory and node.memory is not None else math.inf
        return min(node.cpus / self.cpus, node.gpus / self.gpus if self.gpus else math.inf, by_memory)

    def is_limited_by_memory(self, nodes: Sequence[Node]) -> bool:
        """Return True when more trials would run at the same time with more host memory."""
        return self.slots(nodes) < dataclasses.replace(self, memory=0).slots(nodes)

    @property
    def workers(self) -> int:
        """Return the number of processes that load data."""
        return min(LOADERS, self.cpus - 1) if self.gpus else 0

    def undisturbed(self, nodes: Sequence[Node]) -> float:
        """Return how many trials, each alone on its GPU, would take as long as those that run at the same time.

        Sharing a GPU is assumed to save no time where its gain was not measured.
        """
        if not self.gpus:
            return self.slots(nodes)
        return min(self.gain * sum(node.gpus for node in nodes), self.slots(nodes))

    @property
    def bundle(self) -> dict[str, float]:
        """Return the resources in Ray's form."""
        memory = {"memory": self.memory} if self.memory else {}
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {}), **memory}

    @property
    def labels(self) -> dict[str, str]:
        """Return the machines in Ray's form, as a label selector; empty for all machines."""
        return {"ray.io/node-id": f"in({','.join(self.nodes)})"} if self.nodes else {}


def pack(
    nodes: Sequence[Node], needs: Mapping[str, Need], cpus: int | None, gpus: float | None, *, exclusive: bool
) -> dict[str, Share]:
    """Return the resources of every trial by id. Trials that need little GPU memory share a GPU.

    As many share a GPU as its memory and the cores allow. Where it was measured what sharing gains, as many of them as
    train the most clips per second together.

    A trial that needs more host memory than any machine has gets all memory of the largest one (see `beyond_memory`).
    One that needs a larger GPU than any gets a whole one, and reports that it ran out of memory.

    Args:
        nodes: machines.
        needs: what each trial needs, by id.
        cpus: cores of a trial; None divides the cores.
        gpus: GPUs of a trial; None packs by memory and measured gain.
        exclusive: no other trial may run on the trial's device.

    Raises:
        BenchmarkError: as `share`.
    """
    return {
        trial_id: _with_memory(nodes, _on_device(nodes, need, cpus, gpus, exclusive=exclusive), need)
        for trial_id, need in needs.items()
    }


def _on_device(nodes: Sequence[Node], need: Need, cpus: int | None, gpus: float | None, *, exclusive: bool) -> Share:
    """Return cores and GPUs of a trial. The smallest GPU that can hold the trial decides its part of every GPU.

    Args:
        nodes: machines.
        need: what the trial needs.
        cpus: as in `pack`.
        gpus: as in `pack`.
        exclusive: as in `pack`.
    """
    with_gpu = [node for node in nodes if node.gpus]
    if not with_gpu or gpus == 0:
        return share(nodes, cpus, gpus, exclusive=exclusive)
    known = all(node.gpu_bytes for node in with_gpu)
    part = min(gpus, 1.0) if gpus else 1.0
    able = [node for node in with_gpu if not node.gpu_bytes or need.gpu <= part * node.gpu_bytes] or with_gpu
    if gpus is None and not exclusive and known:
        most = min(node.cpus / node.gpus for node in able) / (cpus or 1)
        smallest = min(node.gpu_bytes or 0 for node in able)
        fitting = [n for n in PARTS if n <= most and n * need.gpu <= smallest]
        parts = need.sharing.best(fitting) if need.sharing else max(fitting, default=1)
        gpus = int(1e4 / parts) / 1e4
    found = share(able, cpus, gpus, exclusive=exclusive)
    return dataclasses.replace(
        found,
        nodes=tuple(node.id for node in able) if len(able) < len(with_gpu) else (),
        gain=need.sharing.gain(trials_per_gpu(found.gpus)) if need.sharing and found.gpus else 1.0,
    )


def trials_per_gpu(gpus: float) -> int:
    """Return how many trials with a share of a GPU fit on one: 3 for 0.3333."""
    return max(1, int(1 / gpus + 1e-3))


def _with_memory(nodes: Sequence[Node], found: Share, need: Need) -> Share:
    """Return the share with its host memory, in few different sizes."""
    wanted = _host_bytes(found, need)
    if not wanted or any(node.memory is None for node in nodes):
        return found
    return dataclasses.replace(found, memory=min(_round_up(wanted), _largest_memory(nodes, found)))


def _host_bytes(found: Share, need: Need) -> int:
    return need.beside_gpu + found.workers * need.worker if found.gpus else need.cpu


def _largest_memory(nodes: Sequence[Node], found: Share) -> int:
    """Return the memory of the largest machine that has the share's cores and GPUs."""
    without = dataclasses.replace(found, memory=0)
    return max(node.memory or 0 for node in nodes if without.slots([node]))


def _round_up(size: int) -> int:
    """Return the next size with three bits after the first, as workers are reused only within a share."""
    step = 1 << max(0, size.bit_length() - 4)
    return -(-size // step) * step


def beyond_memory(nodes: Sequence[Node], shares: Mapping[str, Share], needs: Mapping[str, Need]) -> dict[str, str]:
    """Return one line per trial that needs more host memory than any machine has, by id.

    Args:
        nodes: machines.
        shares: resources by trial id, as `pack` returns them.
        needs: memory that each trial needs, by id.
    """
    lines = {}
    for trial_id, found in shares.items():
        wanted, largest = _host_bytes(found, needs[trial_id]), _largest_memory(nodes, found)
        if found.memory and wanted > largest:
            lines[trial_id] = (
                f"needs about {data_size(wanted)} of memory, but the largest machine has {data_size(largest)} "
                "for trials"
            )
    return lines


def describe(shares: Mapping[str, Share], nodes: Sequence[Node]) -> str:
    """Describe the resources of trials, the most common share first.

    Args:
        shares: resources by trial id.
        nodes: machines.
    """
    kinds = []
    for found, _ in Counter(shares.values()).most_common():
        text = (
            f"{found.slots(nodes)} at once, each with {found.cpus} CPU{'s' if found.cpus > 1 else ''} "
            f"and {found.gpus:g} GPUs"
        )
        if found.is_limited_by_memory(nodes):
            text += f" (limited by memory, {data_size(found.memory)} each)"
        if found.gain != 1:
            text += f", together {found.gain:.2g} times as fast as one alone"
        kinds.append(text)
    return "; ".join(dict.fromkeys(kinds))


def share(nodes: Sequence[Node], cpus: int | None, gpus: float | None, *, exclusive: bool) -> Share:
    """Return the resources of one trial: those asked for, else one GPU and its part of the cores, else one core.

    Args:
        nodes: machines; of those with enough GPUs, the one with the fewest cores per GPU decides.
        cpus: cores asked for; None for the default.
        gpus: GPUs asked for, 0 uses none; None for the default.
        exclusive: no other trial may run on the trial's device.

    Raises:
        BenchmarkError: no machine is large enough, or an exclusive trial would share its device.
    """
    largest = max(nodes, key=lambda node: (node.gpus, node.cpus))
    if gpus is None:
        gpus = 1.0 if largest.gpus else 0.0
    if exclusive and gpus % 1:
        raise BenchmarkError(f"--exclusive: a trial that uses {gpus} of a GPU shares it; use --gpus-per-trial 1")
    if exclusive and not gpus and cpus is not None:
        raise BenchmarkError(
            "--exclusive gives a trial all CPUs; leave out --cpus-per-trial, or limit them with --cpus"
        )
    able = [node for node in nodes if node.gpus >= gpus]
    if cpus is None:
        cpus = 1
        if gpus:
            cpus = max(1, min((int(node.cpus / _at_once(node, gpus)) for node in able), default=1))
        elif exclusive:
            cpus = int(largest.cpus)
    if not any(node.cpus >= cpus for node in able):
        raise BenchmarkError(
            f"a trial asks for {cpus} CPUs and {gpus:g} GPUs, but the largest machine has {largest.cpus:g} CPUs and "
            f"{largest.gpus:g} GPUs; change --cpus-per-trial or --gpus-per-trial"
        )
    return Share(cpus, gpus)


def _at_once(node: Node, gpus: float) -> int:
    return max(1, int(node.gpus / gpus + 1e-3))
