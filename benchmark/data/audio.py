"""Decode any file that libsndfile reads to 16 kHz mono float32."""

from __future__ import annotations

import errno
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
# raise the number when decoding returns different samples: cached audio is then decoded again
DECODING = f"1-libsndfile{soundfile.__libsndfile_version__}-soxr{soxr.__version__}"
TOLERATED_LOSS = 0.01  # share of a file that may be missing: some programs write slightly wrong sizes
UNKNOWN_SIZE = 0x7FFFFFFF  # programs that write to a pipe put this number or a larger one in place of the unknown size
BLOCK = 2**20  # frames
LOUDEST = 1e4  # peak; far above that of any real recording
OGG = b"OggS"
# errors that a file keeps; all others may pass, and must not make a good file a bad one
LASTING = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
)
# libsndfile's remark that a header announces more bytes than follow
SHORT = re.compile(r"^\s*(?:data|SSND|Data Size|Riff size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)


class BadAudioError(BenchmarkError):
    """A file that is empty, truncated or not audio."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}; get the file again, or leave such files out with --on-bad-audio skip")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[BadAudioError], tuple[Path, str]]:
        return BadAudioError, (self.path, self.reason)  # so that it can be sent from another process


def read_content(path: Path) -> bytes:
    """Return the content of an audio file.

    Raises:
        BadAudioError: there is no such file, or it may not be read.
        OSError: it cannot be read now (too many open files, a file server that restarts); it may be a good file.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno not in LASTING:
            raise
        raise BadAudioError(path, f"cannot be read ({error.strerror})") from None


def decode(path: Path, data: bytes | None = None) -> Wave:
    """Read a file, average its channels, and resample it with soxr HQ.

    Args:
        path: of the file.
        data: its content, if it was read already.

    Returns:
        (samples,) at 16 kHz, in [-1, 1].

    Raises:
        BadAudioError: the file is missing, empty, truncated, not audio, or has samples that are not finite.
        OSError: see `read_content`.
    """
    content = read_content(path) if data is None else data
    if not content:
        raise BadAudioError(path, "is empty")
    try:
        with soundfile.SoundFile(_Memory(content)) as file:
            announced = file.frames
            notice = SHORT.search(file.extra_info)
            rate, blocks = file.samplerate, []
            # block by block: a damaged header may announce any number of frames
            while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                blocks.append(block)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:  # the content is in memory: no passing errors
        reason = getattr(error, "error_string", "") or getattr(error, "strerror", "") or "damaged content"
        raise BadAudioError(path, f"cannot be decoded ({reason.rstrip('. ')})") from None
    if not blocks:
        raise BadAudioError(path, "holds no samples")
    wave = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    present, expected = (int(notice[2]), int(notice[1])) if notice else (len(wave), announced)
    if present < (1 - TOLERATED_LOSS) * expected and expected < UNKNOWN_SIZE:
        raise BadAudioError(path, f"is cut off: {100 * present / expected:.0f} % of its audio is there")
    if content.startswith(OGG) and not _ogg_ends(content):
        raise BadAudioError(path, "is cut off: its last page is missing")
    mono = wave.mean(axis=1)
    if not np.isfinite(mono).all():
        raise BadAudioError(path, "holds samples that are not finite")
    if (peak := float(np.abs(mono).max())) > LOUDEST:
        raise BadAudioError(path, f"holds samples far beyond full scale (peak {peak:.1g})")
    resampled: Wave = mono if rate == RATE else np.asarray(soxr.resample(mono, rate, RATE, quality="HQ"), np.float32)
    if not len(resampled):
        raise BadAudioError(path, "holds no samples")
    return resampled


class _Memory(io.BytesIO):
    """A file in memory that ignores a seek to a negative position, as files on disk do; damaged headers cause such."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


def _ogg_ends(content: bytes) -> bool:
    """Return whether the last Ogg page is complete."""
    page = content.rfind(OGG)
    head = content[page : page + 27]
    segments = content[page + 27 : page + 27 + head[26]] if len(head) == 27 else b""
    return len(head) == 27 and len(segments) == head[26] and len(content) >= page + 27 + head[26] + sum(segments)


def remove_mean(wave: Wave, out: Wave | None = None) -> Wave:
    """Return (samples,) minus their mean, as the front end expects every waveform."""
    without: Wave = np.subtract(wave, wave.mean(), out=out)
    return without


def duration(path: Path) -> float | None:
    """Return the length in seconds from the file's header; None if it cannot be read."""
    try:
        return float(soundfile.info(path).duration)
    except (soundfile.LibsndfileError, OSError, RuntimeError):
        return None
