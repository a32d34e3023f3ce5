"""Environmental sounds: continuous textures, and events."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.sound import Wave, band_noise, levelled

GOLDEN_RATIO = 0.6180339887


def texture(label: int, seed: int, seconds: float, rate: int) -> Wave:
    """Generate an environmental texture; a class has a pitch, an overtone slope, a pulse rate and a noise band.

    Args:
        label: class index; determines the character.
        seed: of the clip; determines detuning, phase, level and noise.
        seconds: length.
        rate: samples per second.

    Returns:
        (seconds * rate,) samples in [-1, 1].
    """
    character = np.random.default_rng(label)
    spread = (label * GOLDEN_RATIO) % 1  # so that neighbouring classes differ much
    pitch = 120 * 16**spread
    pulse = character.uniform(0.5, 12)
    slope = character.uniform(0.4, 1.6)
    centre = 200 * 25 ** character.uniform(0, 1)
    loudness = character.uniform(0.2, 0.8)

    clip = np.random.default_rng([label, seed])
    time = np.arange(int(seconds * rate)) / rate
    detuned = pitch * 2 ** clip.normal(0, 0.05)
    tone = sum(np.sin(2 * np.pi * detuned * k * time + clip.uniform(0, 2 * np.pi)) / k**slope for k in range(1, 6))
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * pulse * clip.uniform(0.9, 1.1) * time + clip.uniform(0, 2 * np.pi))
    noise = band_noise(clip, len(time), rate, centre)
    mixed = (1 - loudness) * tone * envelope + loudness * noise + 0.05 * clip.standard_normal(len(time))
    return levelled(clip, mixed)


def event(label: int, seed: int, seconds: float, rate: int) -> Wave:
    """Generate one to four bursts of a class's texture over street noise.

    For arguments and result see `texture`.
    """
    clip = np.random.default_rng([label, seed, 1])
    wave = texture(label, seed, seconds, rate)
    time = np.arange(len(wave)) / max(1, len(wave))
    bursts = np.zeros(len(wave))
    for _ in range(int(clip.integers(1, 5))):
        centre, width = clip.uniform(0, 1), clip.uniform(0.05, 0.3)
        bursts = np.maximum(bursts, np.exp(-(((time - centre) / width) ** 2)))
    street = band_noise(clip, len(wave), rate, 300.0)
    return levelled(clip, wave * bursts + clip.uniform(0.02, 0.1) * street)
