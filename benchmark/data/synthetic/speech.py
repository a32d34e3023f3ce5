"""Speech-like words: a word is a sequence of fricatives and vowels; a speaker has a pitch and a vocal tract."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.sound import Wave, band_noise, levelled

# first three formants in Hz of cardinal vowels
VOWELS = (
    (280, 2250, 2890),
    (400, 2000, 2550),
    (550, 1770, 2490),
    (730, 1090, 2440),
    (570, 840, 2410),
    (300, 870, 2240),
)
FRICATIVES = (1500.0, 2800.0, 4500.0, 6000.0)  # centres of the noise in Hz
PHONES = 3


def word(label: int, speaker: int, seed: int, rate: int, seconds: float = 1.0) -> Wave:
    """Generate a word spoken by a speaker.

    Args:
        label: class index; determines the phones.
        speaker: determines pitch and vocal tract.
        seed: of the clip; determines timing, glide, level and room noise.
        rate: samples per second.
        seconds: length of most recordings; the length of the word does not depend on it.

    Returns:
        (n,) samples: usually `seconds` long, sometimes down to 0.8 of that, but never shorter than the word.
    """
    phones = np.random.default_rng([label, 9]).integers(len(VOWELS) * len(FRICATIVES), size=PHONES).tolist()
    voice = np.random.default_rng([speaker, 7])
    pitch, tract = 90 * 2.5 ** voice.uniform(0, 1), voice.uniform(0.85, 1.15)
    clip = np.random.default_rng([label, speaker, seed])
    parts: list[Wave] = []
    for phone in phones:
        vowel, fricative = phone % len(VOWELS), phone // len(VOWELS)
        hiss = band_noise(clip, int(rate * clip.uniform(0.04, 0.08)), rate, FRICATIVES[fricative] * tract)
        parts += [0.3 * hiss, _vowel(clip, VOWELS[vowel], pitch, tract, int(rate * clip.uniform(0.09, 0.16)), rate)]
    spoken = np.concatenate(parts)
    length = int(rate * seconds * clip.choice([1.0, 1.0, 1.0, clip.uniform(0.8, 1.0)]))
    start = int(clip.uniform(0, max(1, length - len(spoken))))
    wave = 0.01 * clip.standard_normal(max(length, start + len(spoken)))
    wave[start : start + len(spoken)] += spoken
    return levelled(clip, wave)


def _vowel(
    clip: np.random.Generator, formants: tuple[int, int, int], pitch: float, tract: float, samples: int, rate: int
) -> Wave:
    """Generate harmonics of a gliding pitch, weighted by resonances at the formants."""
    time = np.arange(samples) / rate
    fundamental = pitch * (1 + clip.uniform(-0.1, 0.1) * time / max(time[-1], 1e-3)) * 2 ** clip.normal(0, 0.03)
    phase = 2 * np.pi * np.cumsum(fundamental) / rate
    numbers = np.arange(1, int(0.45 * rate / (1.2 * pitch)) + 1)
    weights = sum(
        np.exp(-(((numbers * pitch - formant * tract) / (60 + 0.1 * formant)) ** 2)) / (1 + place)
        for place, formant in enumerate(formants)
    )
    strong = [(number, weight) for number, weight in zip(numbers, np.asarray(weights), strict=True) if weight > 0.02]
    tone = sum((weight * np.sin(number * phase) for number, weight in strong), start=np.zeros(samples))
    fade = np.minimum(1, np.minimum(np.arange(samples), samples - np.arange(samples)) / (0.01 * rate))
    return np.asarray(tone * fade, dtype=np.float32)
