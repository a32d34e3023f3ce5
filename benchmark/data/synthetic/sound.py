"""A sound file to write, and helpers for all kinds of sounds."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from benchmark.files import naming

Wave = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sound:
    """A file of a synthetic dataset.

    Attributes:
        path: relative to the dataset's folder.
        make: returns the (samples,) waveform.
        rate: samples per second.
        subtype: encoding, as soundfile names it.
        channels: number of channels.
    """

    path: str
    make: Callable[[], Wave]
    rate: int
    subtype: str = "PCM_16"
    channels: int = 1

    def write(self, folder: Path) -> None:
        """Write the file and create its folders; the suffix of the path determines the format."""
        wave = self.make()
        if self.channels > 1:
            pan = np.linspace(0.8, 1.0, self.channels, dtype=np.float32)
            wave = wave[:, None] * pan
        path = folder / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()  # libsndfile would not say why a file cannot be written
        soundfile.write(content, wave, self.rate, subtype=self.subtype, format=path.suffix[1:])
        with naming(path):
            path.write_bytes(content.getvalue())


def clip_seed(seed: int, number: int) -> int:
    """Return the seed of a clip; no two seeds of a dataset share a clip's seed."""
    return seed * 10**8 + number


def write_table(path: Path, header: Sequence[str] | None, rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file and create its folders; None for no header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerows([header] if header else [])
        writer.writerows(rows)


def band_noise(generator: np.random.Generator, samples: int, rate: int, centre: float, octaves: float = 0.5) -> Wave:
    """Return (samples,) noise around a frequency; its peak is 1.

    Args:
        generator: source of the noise.
        samples: length.
        rate: samples per second.
        centre: the frequency in Hz.
        octaves: standard deviation of the band's amplitude around it; 0.5 is a width of about one octave.
    """
    spectrum = np.fft.rfft(generator.standard_normal(samples))
    distance = np.log2(np.maximum(np.fft.rfftfreq(samples, 1 / rate), 1) / centre)
    shaped = np.fft.irfft(spectrum * np.exp(-0.5 * (distance / octaves) ** 2), samples)
    return np.asarray(shaped / (np.abs(shaped).max() + 1e-9), dtype=np.float32)


def add_at(wave: npt.NDArray[np.floating], part: npt.NDArray[np.floating], start: float, rate: int) -> None:
    """Add a part to a waveform in place, from `start` seconds on; what reaches beyond its end is cut."""
    first = int(start * rate)
    part = part[: len(wave) - first]
    wave[first : first + len(part)] += part


def convolved(wave: npt.NDArray[np.floating], response: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the beginning of a convolution, as long as the waveform; by FFT, as scipy takes long to import."""
    length = 1 << (len(wave) + len(response) - 2).bit_length()  # a power of two is fast, and nothing wraps around
    product = np.fft.rfft(wave, length) * np.fft.rfft(response, length)
    return np.asarray(np.fft.irfft(product, length)[: len(wave)])


def levelled(generator: np.random.Generator, wave: npt.NDArray[np.floating]) -> Wave:
    """Scale a waveform to a random peak between 0.2 and 0.8, because the level of recordings differs."""
    return np.asarray(wave * (generator.uniform(0.2, 0.8) / (np.abs(wave).max() + 1e-9)), dtype=np.float32)
