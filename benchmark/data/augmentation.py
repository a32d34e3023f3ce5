"""Random draws of the front end, made in advance, so that they depend only on the seed and the clip."""

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
    """All random values of the training clips in one epoch: arrays with one row per clip.

    Attributes:
        partner: position of the clip to mix with; -1 for unmixed clips.
        weight: share of this clip in the mixture.
        freq: two uniform values in [0, 1), for width and start of the frequency mask.
        time: the same for the time mask.
        gain: factor of the noise.
        noise_seed: seed of the uniform noise.
        roll: shift along time in frames.
        start: frames by which the clip's window is moved.
        partner_start: frames by which its partner's window is moved.
    """

    partner: Array
    weight: Array
    freq: Array
    time: Array
    gain: Array
    noise_seed: Array
    roll: Array
    start: Array
    partner_start: Array

    def __len__(self) -> int:
        return len(self.partner)

    def take(self, positions: Array) -> Draws:
        """Return the draws of the clips at some positions."""
        return Draws(*(getattr(self, field.name)[positions] for field in fields(self)))


def draw(generator: np.random.Generator, clips: int, mixup: float) -> Draws:
    """Draw values for every clip of the training list, from the reference's distributions.

    Source: AAT@dc406ad src/dataloader.py.

    Args:
        generator: the random stream of the epoch.
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
        start=np.zeros(clips, np.int64),
        partner_start=np.zeros(clips, np.int64),
    )


def spans(uniforms: Array, bound: int, size: int) -> tuple[Array, Array]:
    """Return where masks begin and end along an axis, computed from two uniform values as torchaudio does.

    Args:
        uniforms: (clips, 2), for width and start.
        bound: upper bound of the width.
        size: length of the axis.

    Returns:
        (clips,) first masked cells, and (clips,) first cells after the masks.
    """
    widths = uniforms[:, 0].astype(np.float64) * bound
    starts = (uniforms[:, 1] * (size - widths)).astype(np.int64)
    return starts, starts + widths.astype(np.int64)


def noise(seeds: Array, frames: int, mels: int) -> npt.NDArray[np.uint16]:
    """Return (clips, frames, mels) uniform integers below 2**16, with one random stream per clip.

    16 bits are enough for noise, and faster to draw than floats.
    """
    words = -(-frames * mels // 4)  # of 64 bits
    cells = np.empty((len(seeds), 4 * words), np.uint16)
    for row, seed in zip(cells, seeds.tolist(), strict=True):
        row[:] = np.random.SFC64(seed).random_raw(words).view(np.uint16)
    return cells[:, : frames * mels].reshape(len(seeds), frames, mels)
