"""Sounds of things: sources, rhythms and colours drawn per class, from which a class sounds alike and unlike others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmark.data.synthetic.sound import Wave, add_at, band_noise, convolved, levelled

Generator = np.random.Generator
Track = npt.NDArray[np.float64]  # (samples,) waveform or envelope
TINY = 1e-9


def scene(label: int, seed: int, seconds: float, rate: int) -> Wave:
    """Generate a clip of a class: one or two layers, each a source with a rhythm.

    Args:
        label: class index; determines sources, rhythms, colours and the range of their variation.
        seed: of the clip; determines detuning, times, levels and noise.
        seconds: length.
        rate: samples per second.

    Returns:
        (seconds * rate,) samples in [-1, 1].
    """
    character, clip = np.random.default_rng([label, 21]), np.random.default_rng([label, seed, 21])
    samples = int(seconds * rate)
    wave = np.zeros(samples)
    for layer in range(int(character.choice([1, 1, 2]))):
        style = np.random.default_rng([label, layer, 23])
        source = SOURCES[int(style.integers(len(SOURCES)))](style, clip, samples, rate)
        shaped = source * RHYTHMS[int(style.integers(len(RHYTHMS)))](style, clip, samples, rate)
        level = 1.0 if layer == 0 else style.uniform(0.2, 0.8) * clip.uniform(0.7, 1.3)
        wave += level * shaped / (np.abs(shaped).max() + TINY)
    return levelled(clip, wave)


def harmonics(style: Generator, clip: Generator, samples: int, rate: int) -> Track:
    """Generate a stack of overtones with a pitch contour, as of engines, animals, horns and sirens."""
    pitch = 40 * 50 ** style.uniform() * 2 ** clip.normal(0, 0.08)
    contour = _contour(style, clip, samples, rate)
    slope, odd, stretch = style.uniform(0.2, 2.2), style.uniform() < 0.3, style.choice([0.0, 0.0, 0.0, 0.01])
    roughness = style.choice([0.0, 0.003, 0.02])
    jitter = np.cumsum(clip.standard_normal(samples)) * roughness / np.sqrt(rate)
    phase = 2 * np.pi * np.cumsum(pitch * 2**contour * (1 + jitter)) / rate
    highest = pitch * 2 ** contour.max() * (1 + np.abs(jitter).max())
    formants = style.uniform(300, 5000, size=int(style.integers(0, 4))) * clip.uniform(0.93, 1.07)
    wave = np.zeros(samples)
    for number in range(1, 25):
        partial = number * np.sqrt(1 + stretch * number**2)
        if partial * highest > 0.45 * rate:
            break
        if odd and number % 2 == 0:
            continue
        weight = number**-slope * (1 + 4 * sum(np.exp(-((number * pitch / f - 1) ** 2) * 20) for f in formants))
        wave += weight * np.sin(partial * phase + clip.uniform(0, 2 * np.pi))
    return wave


def noise(style: Generator, clip: Generator, samples: int, rate: int) -> Track:
    """Generate coloured noise of one to three bands, as of wind, water, fans and rubbing."""
    wave = 10 ** style.uniform(-2.5, -0.5) * clip.standard_normal(samples)
    for _ in range(int(style.integers(1, 4))):
        centre = 80 * 80 ** style.uniform() * 2 ** clip.normal(0, 0.08)
        wave += style.uniform(0.3, 1.0) * band_noise(clip, samples, rate, centre, style.choice([0.15, 0.4, 1.0]))
    return wave


def strikes(style: Generator, clip: Generator, samples: int, rate: int) -> Track:
    """Generate strikes that excite resonances, as of footsteps, drops, crackling, tools, clocks and bells."""
    per_second = 1.5 * 60 ** style.uniform() * 2 ** clip.normal(0, 0.15)
    regular = style.uniform() < 0.5
    gaps = 1 / per_second * (clip.normal(1, 0.04, 400) if regular else clip.exponential(1, 400))
    first = clip.uniform(0, min(1 / per_second, 0.6 * samples / rate))
    starts = first + np.append(0, np.cumsum(np.maximum(gaps, 0.003)))
    excitation = np.zeros(samples)
    for start in starts[starts < samples / rate]:
        excitation[int(start * rate)] += clip.uniform(0.4, 1.0)
    count = int(style.integers(1, 5))
    places, decays = 150 * 40 ** style.uniform(size=count), 0.004 * 60 ** style.uniform(size=count)
    hiss, hiss_decay = style.choice([0.0, 0.3, 1.0]), 0.002 * 20 ** style.uniform()
    time = np.arange(int(min(0.6, 5 * max(*decays, hiss_decay)) * rate)) / rate
    shift = 2 ** clip.normal(0, 0.06)
    response = hiss * clip.standard_normal(len(time)) * np.exp(-time / hiss_decay)
    for place, decay in zip(places, decays, strict=True):
        response += np.sin(2 * np.pi * min(place * shift, 0.45 * rate) * time) * np.exp(-time / decay)
    return convolved(excitation, response)


def chirps(style: Generator, clip: Generator, samples: int, rate: int) -> Track:
    """Generate short glides in groups, as of birds, insects, alarms and squeaks."""
    low, span = 500 * 10 ** style.uniform(), style.uniform(-1.2, 1.2)
    length, gap = 0.02 * 20 ** style.uniform(), 0.02 * 25 ** style.uniform()
    trill, depth = style.uniform(10, 60), style.choice([0.0, 0.0, 0.15])
    group, pause = int(style.integers(1, 8)), style.uniform(0.0, 0.6)
    wave, start, number = np.zeros(samples), clip.uniform(0, 0.3), 0
    shift = 2 ** clip.normal(0, 0.08)
    while start < samples / rate:
        size = int(length * clip.uniform(0.85, 1.15) * rate)
        time = np.arange(size) / rate
        glide = low * shift * 2 ** (span * time / length + depth * np.sin(2 * np.pi * trill * time))
        tone = np.sin(2 * np.pi * np.cumsum(np.minimum(glide, 0.45 * rate)) / rate) * np.hanning(size)
        add_at(wave, tone * clip.uniform(0.6, 1.0), start, rate)
        number += 1
        start += (length + gap) * clip.uniform(0.9, 1.1) + (pause if number % group == 0 else 0)
    return wave


def steady(_style: Generator, _clip: Generator, samples: int, _rate: int) -> Track:
    """Return an envelope without changes."""
    return np.ones(samples)


def pulsing(style: Generator, clip: Generator, samples: int, rate: int) -> Track:
    """Return an envelope that pulses evenly, slowly as waves or fast as rotors."""
    pulse, sharpness = 0.4 * 80 ** style.uniform() * 2 ** clip.normal(0, 0.1), style.choice([1.0, 3.0, 8.0])
    phase = 2 * np.pi * pulse * np.arange(samples) / rate + clip.uniform(0, 2 * np.pi)
    return np.asarray(style.uniform(0, 0.3) + (0.5 + 0.5 * np.sin(phase)) ** sharpness)


def bursts(style: Generator, clip: Generator, samples: int, rate: int) -> Track:
    """Return an envelope of separate bursts with an attack and a decay, as of barks, coughs and shots."""
    attack, decay = 0.003 * 30 ** style.uniform(), 0.03 * 20 ** style.uniform()
    count, envelope = int(style.choice([1, 1, 2, 3, 5])), np.zeros(samples)
    time = np.arange(samples) / rate
    for start in clip.uniform(0, 0.8 * samples / rate, size=count):
        since = np.maximum(time - start, 0)
        envelope += clip.uniform(0.5, 1.0) * np.minimum(since / attack, 1) * np.exp(-since / decay)
    return envelope


def wandering(style: Generator, clip: Generator, samples: int, rate: int) -> Track:
    """Return an envelope that changes at random, as of wind, rain and talk."""
    points = max(4, int(style.uniform(2, 14) * samples / rate))
    values = clip.uniform(0, 1, points) ** style.choice([1.0, 3.0])
    return np.asarray(np.interp(np.linspace(0, points - 1, samples), np.arange(points), values) + 0.02)


def _contour(style: Generator, clip: Generator, samples: int, rate: int) -> Track:
    """Return (samples,) octaves by which a pitch changes: constant, gliding, wailing, or a bend in each call."""
    time, kind = np.arange(samples) / rate, int(style.integers(4))
    if kind == 0:
        return np.zeros(samples)
    if kind == 1:
        return np.asarray(style.uniform(-1, 1) * time / max(time[-1], TINY))
    if kind == 2:
        wail = np.sin(2 * np.pi * style.uniform(0.3, 9) * time + clip.uniform(0, 6.3))
        return np.asarray(style.uniform(0.05, 0.7) * wail)
    length = style.uniform(0.15, 0.7)
    return np.asarray(style.uniform(0.1, 1.0) * np.sin(np.pi * ((time + clip.uniform(0, length)) % length) / length))


SOURCES: tuple[Callable[[Generator, Generator, int, int], Track], ...] = (harmonics, noise, strikes, chirps)
RHYTHMS: tuple[Callable[[Generator, Generator, int, int], Track], ...] = (steady, pulsing, bursts, wandering)
