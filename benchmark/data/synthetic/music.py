"""Music-like clips: instruments that play notes, and genres with a tempo, a rhythm, a scale and a timbre."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.sound import Wave, add_at, band_noise, levelled

MAJOR, MINOR, PENTATONIC = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10)
SCALES = (MAJOR, MINOR, PENTATONIC)
STEPS = 16  # per bar


def note(sound: int, frequency: float, seconds: float, rate: int, clip: np.random.Generator) -> Wave:
    """Generate one note; overtones, attack, decay, vibrato and breath depend on the instrument.

    Args:
        sound: number of the instrument.
        frequency: in Hz.
        seconds: length.
        rate: samples per second.
        clip: random generator of the clip.

    Returns:
        (seconds * rate,) samples.
    """
    timbre = np.random.default_rng([sound, 11])
    slope, odd = timbre.uniform(0.5, 2.5), timbre.uniform(0, 1) < 0.4
    attack, decay = timbre.uniform(0.003, 0.12), timbre.choice([0.15, 0.5, 4.0])
    vibrato, breath = timbre.choice([0.0, 0.005, 0.012]), timbre.choice([0.0, 0.02, 0.1])
    time = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * frequency * (time + vibrato / 30 * np.sin(2 * np.pi * 5.5 * time))
    numbers = [k for k in range(1, 9) if not (odd and k % 2 == 0) and k * frequency < 0.45 * rate]
    tone = sum((np.sin(k * phase) / k**slope for k in numbers), start=np.zeros(len(time)))
    envelope = np.minimum(1, time / attack) * np.exp(-time / decay) * np.minimum(1, (seconds - time) / 0.01)
    return np.asarray((tone + breath * clip.standard_normal(len(time))) * envelope, dtype=np.float32)


def instruments(labels: tuple[int, ...], seed: int, seconds: float, rate: int) -> Wave:
    """Generate instruments that play together, each with its melody in its register, and faint noise.

    Args:
        labels: class indices of the instruments.
        seed: of the clip.
        seconds: length.
        rate: samples per second.
    """
    clip = np.random.default_rng([seed, *labels, 3])
    wave = 0.003 * clip.standard_normal(int(seconds * rate))
    beat, scale, root = clip.uniform(0.25, 0.6), SCALES[int(clip.integers(len(SCALES)))], clip.uniform(0, 12)
    for label in labels:
        register = 55 * 2 ** (1 + 3 * ((label * 7) % 20) / 20)
        level, start = clip.uniform(0.4, 1.0), clip.uniform(0, beat)
        while start < seconds - 0.1:
            length = beat * float(clip.choice([0.5, 1, 1, 2]))
            if clip.uniform() < 0.85:
                pitch = register * 2 ** ((root + clip.choice(scale)) / 12)
                add_at(wave, level * note(label, pitch, min(length, seconds - start), rate, clip), start, rate)
            start += length
    return levelled(clip, wave)


def genre(label: int, seed: int, seconds: float, rate: int) -> Wave:
    """Generate a piece in a genre: drums in the genre's rhythm, a bass and a lead with its timbres.

    Args:
        label: class index; determines tempo, rhythm, scale and timbres.
        seed: of the clip; determines key, melody and mix.
        seconds: length.
        rate: samples per second.
    """
    style = np.random.default_rng([label, 5])
    rhythms = [style.uniform(size=STEPS) < style.uniform(*density) for density in ((0.15, 0.5), (0.05, 0.3))]
    tempo, scale, drums = style.uniform(70, 160), SCALES[int(style.integers(len(SCALES)))], style.uniform(0.1, 1.0)
    sounds = style.integers(100, 200, size=2).tolist()
    clip = np.random.default_rng([label, seed, 5])
    step = 60 / (tempo * clip.uniform(0.95, 1.05)) / 4
    root = clip.uniform(0, 12)
    wave = 0.005 * clip.standard_normal(int(seconds * rate))
    hits = [0.8 * note(300, 60.0, 0.12, rate, clip), 0.4 * band_noise(clip, int(0.08 * rate), rate, 2500.0)]
    for number in range(int((seconds - 0.2) / step)):
        start = number * step
        for hit, pattern in zip(hits, rhythms, strict=True):
            if pattern[number % STEPS]:
                add_at(wave, drums * hit, start, rate)
        for sound, octave, interval in zip(sounds, (1, 3), (4, 2), strict=True):
            if number % interval == 0 and clip.uniform() < 0.8:
                pitch = 55 * 2 ** (octave + (root + clip.choice(scale)) / 12)
                add_at(wave, 0.5 * note(sound, pitch, min(interval * step, seconds - start), rate, clip), start, rate)
    return levelled(clip, wave)
