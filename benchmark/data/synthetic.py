"""Synthetic audio: sounds that a class can be told by, with variation between clips. Never real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

Wave = npt.NDArray[np.float32]
GOLDEN_RATIO = 0.6180339887


def texture(label: int, seed: int, seconds: float, rate: int) -> Wave:
    """An environmental texture: a class has a pitch, an overtone slope, a pulse rate and a noise band.

    Args:
        label: class index; decides the character.
        seed: decides the clip: detuning, phase, level, noise.
        seconds: length.
        rate: samples per second.

    Returns:
        (seconds * rate,) samples in [-1, 1].
    """
    character = np.random.default_rng(label)
    spread = (label * GOLDEN_RATIO) % 1  # neighbouring classes far apart
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
    noise = _band_noise(clip, len(time), rate, centre)
    mixed = (1 - loudness) * tone * envelope + loudness * noise + 0.05 * clip.standard_normal(len(time))
    gain = clip.uniform(0.2, 0.8) / np.abs(mixed).max()
    return np.asarray(mixed * gain, dtype=np.float32)


def write_wav(path: Path, wave: Wave, rate: int, subtype: str = "PCM_16") -> None:
    """Write a mono WAV file, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, subtype=subtype)


def _band_noise(generator: np.random.Generator, samples: int, rate: int, centre: float) -> npt.NDArray[np.float64]:
    """Noise of one octave around a frequency in Hz, unit peak."""
    spectrum = np.fft.rfft(generator.standard_normal(samples))
    distance = np.log2(np.maximum(np.fft.rfftfreq(samples, 1 / rate), 1) / centre)
    shaped = np.fft.irfft(spectrum * np.exp(-2 * distance**2), samples)
    peak: npt.NDArray[np.float64] = shaped / np.abs(shaped).max()
    return peak
