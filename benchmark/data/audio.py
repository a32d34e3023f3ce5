"""Decoding: any file that libsndfile reads becomes 16 kHz mono float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from benchmark.errors import BenchmarkError

RATE = 16_000


def decode(path: Path) -> npt.NDArray[np.float32]:
    """Read, average the channels, resample with soxr HQ.

    Returns:
        (samples,) at 16 kHz, in [-1, 1].

    Raises:
        BenchmarkError: the file is missing, empty, or not audio.
    """
    try:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise BenchmarkError(f"{path}: cannot be decoded ({error}); get the file again") from None
    if not len(wave):
        raise BenchmarkError(f"{path}: holds no samples; get the file again")
    mono = wave.mean(axis=1)
    if not np.isfinite(mono).all():
        raise BenchmarkError(f"{path}: holds samples that are not finite; get the file again")
    return mono if rate == RATE else np.asarray(soxr.resample(mono, rate, RATE, quality="HQ"), dtype=np.float32)
