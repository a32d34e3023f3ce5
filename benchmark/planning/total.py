"""Sums over the estimates of a plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.planning.node import Node
from benchmark.planning.packing import Share
from benchmark.units import data_size, duration, plain, quantity

if TYPE_CHECKING:
    from benchmark.planning.estimate import Estimate


@dataclass(frozen=True)
class Total:
    """Sums over the trials of a plan.

    Attributes:
        flops: operations.
        seconds: duration of the run; None if unknown.
        device_seconds: summed time of the GPUs, or of the CPU slots; None if unknown.
        at_once: largest number of trials at the same time.
        limited_by_memory: True when memory, not cores or GPUs, sets the number of some trials at the same time.
        memory_bytes: memory of the largest trial.
        checkpoint_bytes: disk space of the resume states of trials at the same time.
        record_bytes: disk space of all records.
        gpu: True when the machine has a GPU.
    """

    flops: float
    seconds: float | None
    device_seconds: float | None
    at_once: int
    limited_by_memory: bool
    memory_bytes: int
    checkpoint_bytes: int
    record_bytes: int
    gpu: bool

    def as_dict(self) -> dict[str, float | int | bool | None]:
        """Return the sums for JSON."""
        return dataclasses.asdict(self)

    @property
    def device_hours(self) -> str:
        """Summed time of the GPUs, or of all trials, in brackets after a blank; empty if it is not known."""
        if self.device_seconds is None:
            return ""
        hours = plain(self.device_seconds / 3600)
        return f" ({hours} GPU-hours)" if self.gpu else f" ({hours} hours of all trials)"

    def short_text(self) -> str:
        """Return duration and time of the devices."""
        return f"{self._duration}{self.device_hours}"

    @property
    def _duration(self) -> str:
        return "time unknown" if self.seconds is None else duration(self.seconds)

    def text(self) -> str:
        """Return the sums in one line."""
        limit = ", limited by memory" if self.limited_by_memory else ""
        return (
            f"{quantity(self.flops, 'FLOPs')}, {self._duration} with up to {self.at_once} at once{limit}"
            f"{self.device_hours}, at most {data_size(self.memory_bytes)} per trial, disk "
            f"{data_size(self.record_bytes)} for records and up to {data_size(self.checkpoint_bytes)} for "
            "resume states"
        )


def total(estimates: Mapping[str, Estimate], shares: Mapping[str, Share], node: Node) -> Total:
    """Return the sums over trials.

    Args:
        estimates: estimates by trial id.
        shares: resources by trial id.
        node: the machine.
    """
    slots = {trial_id: share.slots([node]) for trial_id, share in shares.items()}
    at_once = max(slots.values(), default=0)
    seconds = {trial_id: estimate.seconds for trial_id, estimate in estimates.items()}
    known = {trial_id: value for trial_id, value in seconds.items() if value is not None}
    device = sum(known.values()) if len(known) == len(seconds) else None
    parallel = {trial_id: shares[trial_id].undisturbed([node]) for trial_id in known}
    wall = max([sum(value / parallel[trial_id] for trial_id, value in known.items()), *known.values()], default=0.0)
    largest = sorted((estimate.checkpoint_bytes for estimate in estimates.values()), reverse=True)
    return Total(
        flops=sum(estimate.flops for estimate in estimates.values()),
        seconds=None if device is None else wall,
        device_seconds=device,
        at_once=at_once,
        limited_by_memory=any(share.is_limited_by_memory([node]) for share in shares.values()),
        memory_bytes=max((estimate.memory_bytes for estimate in estimates.values()), default=0),
        checkpoint_bytes=sum(largest[:at_once]),
        record_bytes=sum(estimate.record_bytes for estimate in estimates.values()),
        gpu=bool(node.gpus),
    )
