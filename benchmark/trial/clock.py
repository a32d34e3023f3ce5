"""Time of a trial by purpose."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from benchmark.data.loader import Batch


@dataclass
class Clock:
    """Seconds by purpose.

    Attributes:
        device: synchronised before a time is taken.
        seconds: `data`: waiting for training data, also while a GPU still computes the step before; a GPU's batches
            are waited for one step ahead; `train`: training without this wait; `eval`: evaluation, its data included;
            `setup`, which includes compilation, and `total` are added by others.
        began: when the trial began, as `time.perf_counter`.
    """

    device: torch.device
    seconds: dict[str, float] = field(default_factory=lambda: {"data": 0.0, "train": 0.0, "eval": 0.0})
    began: float = field(default_factory=time.perf_counter)

    def so_far(self) -> dict[str, float]:
        """Return the seconds with their total, earlier processes of an interrupted trial included."""
        return {**self.seconds, "total": self.seconds.get("total", 0.0) + time.perf_counter() - self.began}

    def waiting(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches and count the wait for each as `data`."""
        source = iter(batches)
        while True:
            start = time.perf_counter()
            batch = next(source, None)
            self.seconds["data"] += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    @contextmanager
    def measure(self, purpose: str) -> Iterator[None]:
        """Count the time inside as `purpose`, minus what is counted inside; synchronise a GPU at the end."""
        start, others = time.perf_counter(), self._counted()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elapsed = time.perf_counter() - start - (self._counted() - others)
        self.seconds[purpose] = self.seconds.get(purpose, 0.0) + elapsed

    def _counted(self) -> float:
        return sum(seconds for purpose, seconds in self.seconds.items() if purpose != "total")
