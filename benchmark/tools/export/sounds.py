"""Sounds to label: files, folders and arrays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.data.audio import BadAudioError, Wave, decode, mean_of_channels, to_model_rate
from benchmark.data.containers import DamagedError
from benchmark.data.unused import SUFFIXES, files_below
from benchmark.errors import BenchmarkError

Sound = str | Path | npt.NDArray[Any]


def find_sounds(places: Iterable[Path]) -> list[Path]:
    """Return the audio files that are named, and those below folders by their names' endings, each once and sorted.

    Raises:
        BenchmarkError: there is no such file or folder, or no audio below a folder.
    """
    found = dict[Path, None]()
    for place in places:
        if not place.exists():
            raise BenchmarkError(f"{place}: no such file or folder")
        if not place.is_dir():
            found[place] = None
            continue
        names = [name for name in files_below(place) if _is_audio(name)]
        if not names:
            raise BenchmarkError(f"{place}: no audio files in this folder ({' '.join(SUFFIXES)})")
        found |= dict.fromkeys(place / name for name in sorted(names))
    return list(found)


def _is_audio(name: str) -> bool:
    path = Path(name)
    return path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)


def wave_of(sound: Sound, rate: int | None) -> Wave:
    """Return the (samples,) waveform of a sound at 16 kHz, mono.

    Args:
        sound: a file; or an array (samples,) or (samples, channels), of floats in [-1, 1] or of signed integers.
        rate: sample rate of an array in Hz; None for a file.

    Raises:
        BenchmarkError: a file that is bad or cannot be read, or an array of another form.
    """
    if isinstance(sound, (str, Path)):
        if rate is not None:
            raise BenchmarkError(f"rate={rate}: a file states its own sample rate; rate is for arrays")
        try:
            return decode(Path(sound))
        except OSError as error:
            raise BadAudioError(Path(sound), f"cannot be read ({error.strerror})") from None
    if rate is None or rate < 1:
        raise BenchmarkError("rate: give the sample rate of the array in Hz, such as rate=44100")
    samples = np.asarray(sound)
    if samples.ndim not in {1, 2} or (samples.ndim == 2 and samples.shape[1] > samples.shape[0]):
        raise BenchmarkError(f"array: expected (samples,) or (samples, channels), got {samples.shape}")
    if samples.dtype.kind not in "fi":
        raise BenchmarkError(f"array: expected floats in [-1, 1] or signed integers, got {samples.dtype}")
    scale = 1.0 if samples.dtype.kind == "f" else -1.0 / np.iinfo(samples.dtype).min
    if not samples.size:
        raise BenchmarkError("array: holds no samples")
    frames = np.ascontiguousarray((samples if samples.ndim == 2 else samples[:, np.newaxis]) * scale, dtype=np.float32)
    try:
        return to_model_rate(mean_of_channels(frames), rate)
    except DamagedError as error:
        raise BenchmarkError(f"array: {error}") from None
