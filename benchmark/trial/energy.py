"""Energy that a GPU uses in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmark import nvml


class EnergyMeter:
    """Joules of passes, from the GPU's own counter, which counts all that the GPU does.

    Args:
        device: where the passes compute; a CPU has no counter.

    Attributes:
        passes: joules of each measured pass; empty where there is no counter.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.passes: list[float] = []

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Measure a pass, to its end on the GPU."""
        before = self._read()
        yield
        after = self._read()
        if before is not None and after is not None:
            self.passes.append(after - before)

    @property
    def joules(self) -> float | None:
        """Mean of the passes; None if none was measured."""
        return sum(self.passes) / len(self.passes) if self.passes else None

    def _read(self) -> float | None:
        if self.device.type != "cuda":
            return None
        torch.cuda.synchronize(self.device)
        return nvml.joules(str(torch.cuda.get_device_properties(self.device).uuid))
