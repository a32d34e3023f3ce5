"""What lies between a sound and its recording: a room, a microphone, other sounds and the level."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.sound import Wave, convolved, levelled

TINY = 1e-9


def record(wave: Wave, seed: int, rate: int) -> Wave:
    """Return a waveform as recorded: with echoes, a coloured microphone and background noise in most clips.

    Args:
        wave: (samples,) the sound alone.
        seed: of the clip.
        rate: samples per second.

    Returns:
        (samples,) samples in [-1, 1].
    """
    clip = np.random.default_rng([seed, 31])
    heard = np.asarray(wave, dtype=np.float64)
    if clip.uniform() < 0.6:
        heard = _echoes(clip, heard, rate)
    if clip.uniform() < 0.7:
        heard = _coloured(clip, heard, rate)
    if clip.uniform() < 0.8:
        heard = heard + _background(clip, heard, rate)
    return levelled(clip, heard)


def _echoes(clip: np.random.Generator, wave: np.ndarray, rate: int) -> np.ndarray:
    """Convolve with noise that decays by 60 dB in 0.1 to 0.9 s, beside the direct sound."""
    seconds = 0.1 * 9 ** clip.uniform()
    time = np.arange(int(seconds * rate)) / rate
    tail = clip.standard_normal(len(time)) * np.exp(-6.9 * time / seconds)
    tail *= 10 ** clip.uniform(-1.0, 0.2) / np.sqrt(np.square(tail).sum() + TINY)
    tail[0] += 1
    return convolved(wave, tail)


def _coloured(clip: np.random.Generator, wave: np.ndarray, rate: int) -> np.ndarray:
    """Tilt the spectrum by up to 6 dB per octave, and cut low or high frequencies as microphones do."""
    spectrum, frequencies = np.fft.rfft(wave), np.maximum(np.fft.rfftfreq(len(wave), 1 / rate), 20)
    gain = (frequencies / 1000) ** clip.uniform(-1, 1)
    if clip.uniform() < 0.3:
        gain /= np.sqrt(1 + (frequencies / (2500 * 3 ** clip.uniform())) ** 6)
    if clip.uniform() < 0.3:
        gain /= np.sqrt(1 + (60 * 6 ** clip.uniform() / frequencies) ** 4)
    return np.asarray(np.fft.irfft(spectrum * gain, len(wave)))


def _background(clip: np.random.Generator, wave: np.ndarray, rate: int) -> np.ndarray:
    """Return noise whose spectrum falls with frequency, 0 to 50 dB below the sound."""
    spectrum = np.fft.rfft(clip.standard_normal(len(wave)))
    falling = np.maximum(np.fft.rfftfreq(len(wave), 1 / rate), 30) ** -clip.uniform(0, 1.2)
    noise = np.fft.irfft(spectrum * falling, len(wave))
    level = np.sqrt(np.square(wave).mean() / (np.square(noise).mean() + TINY)) * 10 ** -clip.uniform(0, 2.5)
    return np.asarray(noise * level)
