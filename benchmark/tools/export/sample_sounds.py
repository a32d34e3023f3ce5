"""Waveforms on which exported models are compared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmark.data.audio import RATE, Wave
from benchmark.data.frontend import HOP, WINDOW

SHORTEST = WINDOW // 2  # samples, less than a window


def full_and_padded(frames: int) -> Iterator[Wave]:
    """Yield (samples,) waveforms: longer than the input, of its length, of half of it and of one window.

    Args:
        frames: length of the input.
    """
    generator = np.random.default_rng(0)
    full = (frames - 1) * HOP + WINDOW
    for samples in (full + full // 2, full, full // 2, WINDOW):
        times = np.arange(samples) / RATE
        tone = 0.3 * np.sin(2 * np.pi * generator.uniform(100, 4000) * times)
        wave = tone + 0.05 * generator.standard_normal(samples) + 0.01  # a constant must not matter
        yield wave.astype(np.float32)


def too_short() -> Wave:
    """Return (samples,) less than a window, which is padded with zeros."""
    return (0.1 * np.random.default_rng(1).standard_normal(SHORTEST)).astype(np.float32)
