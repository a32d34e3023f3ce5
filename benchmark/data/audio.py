"""Decode any file that libsndfile reads to 16 kHz mono float32."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from benchmark.data.containers import TOLERATED_LOSS, UNKNOWN_SIZE, DamagedError, Recording, cut_off, recordings
from benchmark.errors import BenchmarkError
from benchmark.units import plural

RATE = 16_000
Wave = npt.NDArray[np.float32]
# raise the number when decoding returns different samples: cached audio is then decoded again
DECODING = f"2-libsndfile{soundfile.__libsndfile_version__}-soxr{soxr.__version__}"
BLOCK = 2**20  # frames
LOUDEST = 1e4  # peak; far above that of any real recording
CANCELLED = 1e-3  # share of the channels' power, -30 dB
SCREENED = 1024  # samples
NAMED = 3  # clips that a remark names
# errors that a file keeps; all others may pass, and must not make a good file a bad one
LASTING = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
)


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


class Audio(NamedTuple):
    """The audio of a file.

    Attributes:
        wave: (samples,) at 16 kHz, mono.
        rate: sample rate of the file in Hz.
        channels: of the file.
        cancels: whether the channels cancel each other: their mean is 30 dB below them.
        format: container and coding as libsndfile names them, such as `WAV PCM_16`.
    """

    wave: Wave
    rate: int
    channels: int
    cancels: bool
    format: str

    @property
    def seconds(self) -> float:
        """Return the length."""
        return len(self.wave) / RATE


class _Decoded(NamedTuple):
    """What libsndfile decoded.

    Attributes:
        frames: (samples, channels).
        rate: in Hz.
        announced: number of samples by the header.
        format: container and coding.
    """

    frames: Wave
    rate: int
    announced: int
    format: str


def decode(path: Path, data: bytes | None = None) -> Wave:
    """Return the (samples,) waveform of a file at 16 kHz, mono; see `read_audio`."""
    return read_audio(path, data).wave


def read_audio(path: Path, data: bytes | None = None) -> Audio:
    """Read a file to its end, average its channels, and resample it with soxr HQ.

    Args:
        path: of the file.
        data: its content, if it was read already.

    Returns:
        Samples in [-1, 1], and what else was seen.

    Raises:
        BadAudioError: the file is missing, empty, truncated, damaged, not audio, or has samples that are not finite.
        OSError: see `read_content`.
    """
    content = read_content(path) if data is None else data
    if not content:
        raise BadAudioError(path, "is empty")
    try:
        decoded = [_decode_recording(recording) for recording in recordings(content)]
    except DamagedError as error:
        raise BadAudioError(path, str(error)) from None
    if len({part.rate for part in decoded}) > 1:
        raise BadAudioError(path, "holds several recordings of different sample rates")
    rate = decoded[0].rate
    parts = [mean_of_channels(part.frames) for part in decoded]
    mono = parts[0] if len(parts) == 1 else np.concatenate(parts)
    try:
        resampled = to_model_rate(mono, rate)
    except DamagedError as error:
        raise BadAudioError(path, str(error)) from None
    cancels = any(_cancels(part.frames, mix) for part, mix in zip(decoded, parts, strict=True))
    return Audio(resampled, rate, decoded[0].frames.shape[1], cancels, decoded[0].format)


def to_model_rate(mono: Wave, rate: int) -> Wave:
    """Resample (samples,) to 16 kHz with soxr HQ.

    Raises:
        DamagedError: no samples, or samples that are not finite or far beyond full scale.
    """
    if not np.isfinite(mono).all():
        raise DamagedError("holds samples that are not finite")
    if len(mono) and (peak := float(np.abs(mono).max())) > LOUDEST:
        raise DamagedError(f"holds samples far beyond full scale (peak {peak:.1g})")
    resampled: Wave = mono if rate == RATE else np.asarray(soxr.resample(mono, rate, RATE, quality="HQ"), np.float32)
    if not len(resampled):
        raise DamagedError("holds no samples")
    return resampled


def mean_of_channels(frames: Wave) -> Wave:
    """(samples, channels) -> (samples,); of one channel quicker than numpy's, and like it without negative zeros."""
    mean: Wave = frames[:, 0] + np.float32(0) if frames.shape[1] == 1 else frames.mean(axis=1)
    return mean


def cancelling(paths: Iterable[str]) -> str:
    """Return a remark on clips whose channels cancel each other."""
    names = sorted(paths)
    return (
        f"{plural(len(names), 'clip')} whose channels cancel each other, so that their mean is nearly silent: "
        f"{', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''}"
    )


def _decode_recording(recording: Recording) -> _Decoded:
    """Decode the first content that can be decoded completely.

    Raises:
        DamagedError: there is none.
    """
    failure = None
    for content in recording.contents:
        try:
            decoded = _decode_content(content)
        except DamagedError as error:
            failure = failure or error
            continue
        present, expected = len(decoded.frames), recording.samples or decoded.announced
        if present >= (1 - TOLERATED_LOSS) * expected or expected >= UNKNOWN_SIZE:
            return decoded
        failure = cut_off(present, expected)
    raise failure or DamagedError("holds no samples")


def _decode_content(content: bytes) -> _Decoded:
    try:
        with _SoundFile(_Memory(content)) as file:
            blocks = []
            # block by block: a damaged header may announce any number of frames
            while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                blocks.append(block)
            rate, announced, coding = file.samplerate, file.frames, f"{file.format} {file.subtype}"
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:  # the content is in memory: no passing errors
        reason = getattr(error, "error_string", "") or getattr(error, "strerror", "") or "damaged content"
        raise DamagedError(f"cannot be decoded ({reason.rstrip('. ')})") from None
    if not blocks:
        raise DamagedError("holds no samples")
    return _Decoded(blocks[0] if len(blocks) == 1 else np.concatenate(blocks), rate, announced, coding)


def _cancels(frames: Wave, mix: Wave) -> bool:
    """Return whether the mean of (samples, channels) is 30 dB below the channels, constants left out."""
    if frames.shape[1] == 1:
        return False
    step = max(1, len(mix) // SCREENED)  # a part of the samples shows that most files are far from it
    if mix[::step].var() > 10 * CANCELLED * np.ascontiguousarray(frames[::step].T).var(axis=1).mean():
        return False
    return bool(mix.var() < CANCELLED * frames.var(axis=0).mean())


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that has no positions to seek if its length is unknown, as that of some FLAC files."""

    def seekable(self) -> bool:
        return self.frames < UNKNOWN_SIZE and bool(super().seekable())


class _Memory(io.BytesIO):
    """A file in memory that ignores a seek to a negative position, as files on disk do; damaged headers cause such."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


def remove_mean(wave: Wave, out: Wave | None = None) -> Wave:
    """Return (samples,) minus their mean, as the front end expects every waveform."""
    without: Wave = np.subtract(wave, wave.mean(), out=out)
    return without
