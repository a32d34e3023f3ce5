"""Random draws of the front end, made ahead so that they depend on the seed and the clip alone."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

MIXUP_BETA = 10.0
MAX_ROLL = 10
MAX_GAIN = 0.1
UNMIXED = -1
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Draws:
    """Everything random about training clips in one epoch: arrays with one row a clip.

    `partner` is the position of the clip to mix with (-1: unmixed) and `weight` this clip's share; `freq` and `time`
    are two uniforms each, for width and start of a mask; noise is `gain` times uniforms from `noise_seed`; `roll` is
    in frames.
    """

    partner: Array
    weight: Array
    freq: Array
    time: Array
    gain: Array
    noise_seed: Array
    roll: Array

    def __len__(self) -> int:
        return len(self.partner)

    def take(self, positions: Array) -> Draws:
        """The draws of some clips."""
        return Draws(*(getattr(self, field.name)[positions] for field in fields(self)))


def draw(generator: np.random.Generator, clips: int, mixup: float) -> Draws:
    """Draws for every clip of the training list, in the reference's distributions (AAT@dc406ad src/dataloader.py).

    Args:
        generator: the epoch's stream.
        clips: length of the training list.
        mixup: probability that a clip is mixed.
    """
    mixed = generator.random(clips) < mixup
    partners = generator.integers(clips, size=clips)
    weights = generator.beta(MIXUP_BETA, MIXUP_BETA, size=clips)
    masks = generator.random((clips, 4), dtype=np.float32)
    return Draws(
        partner=np.where(mixed, partners, UNMIXED),
        weight=np.where(mixed, weights, 1.0),
        freq=masks[:, :2],
        time=masks[:, 2:],
        gain=generator.random(clips) * MAX_GAIN,
        noise_seed=generator.integers(2**63, size=clips),
        roll=generator.integers(-MAX_ROLL, MAX_ROLL, size=clips),
    )


def spans(uniforms: Array, bound: int, size: int) -> tuple[Array, Array]:
    """Where masks begin and end along an axis of `size`, as torchaudio's masking places them from two uniforms each.

    Args:
        uniforms: (clips, 2), for width and start.
        bound: the width's upper bound.

    Returns:
        (clips,) first masked cells, and (clips,) first cells behind them.
    """
    widths = uniforms[:, 0].astype(np.float64) * bound
    starts = (uniforms[:, 1] * (size - widths)).astype(np.int64)
    return starts, starts + widths.astype(np.int64)


def noise(seeds: Array, frames: int, mels: int) -> npt.NDArray[np.uint16]:
    """(clips, frames, mels) uniform whole numbers below 2**16, one stream a clip; 16 bits are as good and cost less."""
    words = -(-frames * mels // 4)  # of 64 bits
    cells = np.empty((len(seeds), 4 * words), np.uint16)
    for row, seed in zip(cells, seeds.tolist(), strict=True):
        row[:] = np.random.SFC64(seed).random_raw(words).view(np.uint16)
    return cells[:, : frames * mels].reshape(len(seeds), frames, mels)
