"""Peak memory of a trial, of its training apart from its evaluation."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Peak:
    """Peak memory in bytes.

    Attributes:
        allocated: GPU memory of tensors; None on a CPU.
        reserved: GPU memory that the allocator holds; None on a CPU.
        host: resident memory of the process.
    """

    allocated: int | None
    reserved: int | None
    host: int


class PeakMemory:
    """Peaks of the passes of a trial.

    Args:
        device: where the passes compute.

    Attributes:
        left_out: bytes of GPU memory that do not count: filter banks that the suite holds there, the same for every
            method and no part of it.
        training: None before the first pass. What the allocator reserved and what the process held are those of the
            first pass: later ones keep what an evaluation took.
        evaluation: None before the first pass.
        kept_bytes: memory of tensors that evaluation keeps for its next pass; it does not count as training's.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.left_out = 0
        self.training: Peak | None = None
        self.evaluation: Peak | None = None
        self.kept_bytes = 0

    @contextmanager
    def in_training(self) -> Iterator[None]:
        """Measure a pass of training."""
        self._reset()
        yield
        now = self._read()
        before = self.training or now
        own = None if now.allocated is None else now.allocated - self.kept_bytes
        self.training = replace(before, allocated=_larger(before.allocated, own))

    @contextmanager
    def in_evaluation(self) -> Iterator[None]:
        """Measure a pass of evaluation."""
        self._reset()
        yield
        now = self._read()
        before = self.evaluation or now
        self.evaluation = replace(now, allocated=_larger(before.allocated, now.allocated))

    def training_takes(self, allocated: int) -> None:
        """Count what training takes and a peak does not show, in bytes of GPU memory with what is left out."""
        assert self.training is not None
        self.training = replace(self.training, allocated=_larger(self.training.allocated, allocated - self.left_out))

    def _reset(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def _read(self) -> Peak:
        cuda = self.device.type == "cuda"
        return Peak(
            allocated=torch.cuda.max_memory_allocated(self.device) - self.left_out if cuda else None,
            reserved=torch.cuda.max_memory_reserved(self.device) - self.left_out if cuda else None,
            host=peak_rss(),
        )


def peak_rss() -> int:
    """Return the peak resident memory of this process since its start, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def _larger(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)
