"""Random draws of the front end, made ahead so that they depend on the seed and the clip alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MIXUP_BETA = 10.0
MAX_ROLL = 10


@dataclass(frozen=True)
class Draws:
    """Everything random about one training clip in one epoch.

    `partner` is the position of the clip to mix with (None: unmixed) and `weight` this clip's share; mask draws are
    two uniforms each, for width and start; noise is `gain` times uniforms from `noise_seed`; `roll` is in frames.
    """

    partner: int | None
    weight: float
    freq: tuple[float, float]
    time: tuple[float, float]
    gain: float
    noise_seed: int
    roll: int


def draw(generator: np.random.Generator, clips: int, mixup: float) -> list[Draws]:
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
    gains = generator.random(clips) / 10
    seeds = generator.integers(2**63, size=clips)
    rolls = generator.integers(-MAX_ROLL, MAX_ROLL, size=clips)
    return [
        Draws(
            partner=int(partners[i]) if mixed[i] else None,
            weight=float(weights[i]) if mixed[i] else 1.0,
            freq=(float(masks[i, 0]), float(masks[i, 1])),
            time=(float(masks[i, 2]), float(masks[i, 3])),
            gain=float(gains[i]),
            noise_seed=int(seeds[i]),
            roll=int(rolls[i]),
        )
        for i in range(clips)
    ]
