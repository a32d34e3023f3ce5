"""Windows of recordings that are longer than a model's input.

A recording of n frames has ceil(n / frames) windows. Each has `frames` frames; they lie at equal distances from the
beginning of the recording to its end, and overlap as much as that takes. A recording that fits has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

Kind = Literal["first", "all", "random"]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """The windows of a list of recordings; those of one recording are consecutive.

    Attributes:
        starts: (windows,) first frame of each.
        counts: (recordings,) number of windows of each.
        spare: (windows,) frames by which training may move each window.
    """

    starts: Numbers
    counts: Numbers
    spare: Numbers

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def move(self) -> bool:
        """Return whether training moves windows."""
        return bool(self.spare.any())

    @property
    def firsts(self) -> Numbers:
        """Return the (recordings,) position of the first window of each."""
        return np.cumsum(self.counts) - self.counts

    def average(self, values: torch.Tensor) -> torch.Tensor:
        """(windows, K) values -> (recordings, K) means."""
        owners = torch.from_numpy(np.repeat(np.arange(len(self.counts)), self.counts))
        sums = torch.zeros(len(self.counts), *values.shape[1:], dtype=values.dtype).index_add_(0, owners, values)
        return sums / torch.from_numpy(self.counts).to(values.dtype).view(-1, *[1] * (values.dim() - 1))

    def take(self, positions: Sequence[int]) -> Windows:
        """Return some windows, each as a recording of its own."""
        chosen = list(positions)
        return Windows(self.starts[chosen], np.ones(len(chosen), np.int64), self.spare[chosen])


def count_windows(lengths: npt.NDArray[Any], frames: int) -> Numbers:
    """Return the number of windows of recordings with (n,) lengths in frames."""
    return np.maximum(1, -(-np.asarray(lengths, np.int64) // frames))


def cut(lengths: Sequence[int], frames: int) -> Windows:
    """Return all windows of recordings with these lengths in frames."""
    counts = count_windows(np.array(lengths), frames)
    spread = (
        np.arange(count) * max(0, length - frames) // max(1, count - 1)
        for length, count in zip(lengths, counts.tolist(), strict=True)
    )
    starts = np.concatenate([np.empty(0, np.int64), *spread])
    return Windows(starts, counts, np.zeros_like(starts))


def movable(lengths: Sequence[int], frames: int) -> Windows:
    """Return one window of each recording, which training moves."""
    spare = np.maximum(0, np.array(lengths, np.int64) - frames)
    return Windows(np.zeros_like(spare), np.ones_like(spare), spare)
