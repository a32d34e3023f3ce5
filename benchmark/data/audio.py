"""Decoding: any file that libsndfile reads becomes 16 kHz mono float32."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from benchmark.errors import BenchmarkError

RATE = 16_000
Wave = npt.NDArray[np.float32]
# raise the number when decoding gives other samples: cached audio is decoded again
DECODING = f"1-libsndfile{soundfile.__libsndfile_version__}-soxr{soxr.__version__}"
TOLERATED_LOSS = 0.01  # share of a file that may be missing: some writers are slightly wrong about sizes
UNKNOWN_SIZE = 0x7FFFFFFF  # what writers to a pipe put where the size belongs, at least
# libsndfile's notice that a header promises more bytes than follow
SHORT = re.compile(r"^\s*(?:data|SSND|Data Size|Riff size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)


class BadAudioError(BenchmarkError):
    """A file that is empty, cut off or not audio."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}; get the file again, or leave such files out with --on-bad-audio skip")
        self.path = path
        self.reason = reason


def decode(path: Path, data: bytes | None = None) -> Wave:
    """Read, average the channels, resample with soxr HQ.

    Args:
        path: of the file.
        data: its content, where it was read already.

    Returns:
        (samples,) at 16 kHz, in [-1, 1].

    Raises:
        BadAudioError: the file is missing, empty, cut off, not audio, or holds samples that are not finite.
    """
    try:
        with soundfile.SoundFile(path if data is None else io.BytesIO(data)) as file:
            promised = file.frames
            notice = SHORT.search(file.extra_info)
            wave = file.read(dtype="float32", always_2d=True)
            rate = file.samplerate
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        reason = getattr(error, "error_string", "") or getattr(error, "strerror", "") or "broken inside"
        raise BadAudioError(path, f"cannot be decoded ({reason.rstrip('. ')})") from None
    if not len(wave):
        raise BadAudioError(path, "holds no samples")
    there, all_of_it = (int(notice[2]), int(notice[1])) if notice else (len(wave), promised)
    if there < (1 - TOLERATED_LOSS) * all_of_it and all_of_it < UNKNOWN_SIZE:
        raise BadAudioError(path, f"is cut off: {100 * there / all_of_it:.0f} % of its audio is there")
    mono = wave.mean(axis=1)
    if not np.isfinite(mono).all():
        raise BadAudioError(path, "holds samples that are not finite")
    return mono if rate == RATE else np.asarray(soxr.resample(mono, rate, RATE, quality="HQ"), dtype=np.float32)


def remove_mean(wave: Wave, out: Wave | None = None) -> Wave:
    """(samples,) without their mean, as every waveform enters the front end."""
    without: Wave = np.subtract(wave, wave.mean(), out=out)
    return without


def duration(path: Path) -> float | None:
    """Seconds by the file's header; None where it cannot be read."""
    try:
        return float(soundfile.info(path).duration)
    except (soundfile.LibsndfileError, OSError, RuntimeError):
        return None
