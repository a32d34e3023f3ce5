"""The recordings of a dataset's folder as waveforms and clean filter banks, from the cache or made anew."""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmark.data.array_cache import REMEDY, Array, ArrayCache, unusable
from benchmark.data.audio import DECODING, RATE, BadAudioError, decode, duration, remove_mean
from benchmark.data.file_digests import FileDigests
from benchmark.data.frontend import FEATURES, HOP, filter_bank
from benchmark.data.manifest import Clip
from benchmark.data.parallel import Progress, in_order
from benchmark.errors import BenchmarkError

SAMPLE = 200  # headers read to estimate how long clips are
GIGABYTE = 1e9


class Made(NamedTuple):
    """The digest of a file, and its waveform and filter bank, where the cache lacks them."""

    source: str
    arrays: tuple[Array | None, ...]


@dataclass(frozen=True)
class Level:
    """Sums over cells of filter banks, which add up to mean and standard deviation."""

    cells: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Level) -> Level:
        return Level(self.cells + other.cells, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """Log mel."""
        return self.total / self.cells

    @property
    def std(self) -> float:
        """Never 0."""
        return float(max(self.squares / self.cells - self.mean**2, 1e-12) ** 0.5)


@dataclass(frozen=True)
class Estimate:
    """What filling the cache will write."""

    clips: int
    bytes: int
    free: int
    folder: Path

    def __str__(self) -> str:
        size, free = self.bytes / GIGABYTE, self.free / GIGABYTE
        return f"{self.clips} clips, about {size:.2f} GB, into {self.folder} ({free:.1f} GB free)"


class AudioStore:
    """Audio of one folder.

    Args:
        folder: the dataset's.
        cache: folder of the audio cache, one for all datasets; None to decode and compute each time.
        mels: bands of the filter banks.
    """

    def __init__(self, folder: Path, cache: Path | None, mels: int) -> None:
        self.folder = folder
        self.cache = cache
        self.mels = mels
        if cache is not None:
            self.waves = ArrayCache(cache / f"waves-{DECODING}")
            self.banks = ArrayCache(cache / f"banks{mels}-{FEATURES}-{DECODING}")
            self.sources = FileDigests(cache, folder)

    def wave(self, clip: Clip) -> Array:
        """(samples,) at 16 kHz, a view of the cache where it is there.

        Raises:
            BadAudioError: the file is no good.
        """
        cached = None if self.cache is None else self.waves.get(self.sources.digest(clip))
        return decode(self.folder / clip.path) if cached is None else cached

    def bank(self, clip: Clip) -> Array:
        """(frames, mels) log-mel filter bank of the whole clip, not normalised; a view of the cache where it is there.

        Raises:
            BadAudioError: the file is no good.
        """
        cached = None if self.cache is None else self.banks.get(self.sources.digest(clip))
        return self._compute(self.wave(clip)) if cached is None else cached.reshape(-1, self.mels)

    def _compute(self, wave: Array) -> Array:
        bank: Array = filter_bank(torch.from_numpy(remove_mean(wave)).unsqueeze(0), self.mels)[0].numpy()
        return bank

    def lacking(self, clips: Sequence[Clip], mixed: Collection[str], progress: Progress | None = None) -> list[Clip]:
        """Clips that the cache lacks the filter bank of, or the waveform where their path is among the mixed ones."""
        if self.cache is None:
            return []
        for number, _ in enumerate(self.sources.identify(clips), start=1):
            if progress:
                progress("identifying", number, len(clips))
        return [clip for clip in clips if any(self._wanted(clip, mixed))]

    def estimate(self, clips: Sequence[Clip], mixed: Collection[str]) -> Estimate:
        """What filling the cache with clips that it lacks takes, by the headers of some of them.

        Raises:
            BenchmarkError: the disk has less room, or cannot be written.
        """
        assert self.cache is not None
        sample = clips[:: max(1, len(clips) // SAMPLE)]
        known = [seconds for clip in sample if (seconds := duration(self.folder / clip.path)) is not None]
        seconds = sum(known) / max(1, len(known))
        wanted = [self._wanted(clip, mixed) for clip in clips]
        values = sum(wave * RATE + bank * RATE // HOP * self.mels for wave, bank in wanted)
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.cache).free
        except OSError as error:
            raise unusable(self.cache, error) from None
        estimate = Estimate(len(clips), int(4 * seconds * values), free, self.cache)
        if estimate.bytes > free:
            raise BenchmarkError(f"the audio cache has no room for {estimate}; {REMEDY}")
        return estimate

    def fill(
        self,
        clips: Sequence[Clip],
        mixed: Collection[str],
        *,
        stop: bool,
        progress: Progress | None = None,
        processes: bool = False,
    ) -> list[BadAudioError]:
        """Put what the cache lacks of clips into it, with all cores; without a cache only look for bad files.

        Args:
            clips: that `lacking` gave.
            mixed: paths of those whose waveform is needed too.
            stop: raise at the first bad file instead of collecting them.
            progress: told after every clip.
            processes: may be used where there are many clips.

        Returns:
            The bad files, in the order of the clips.

        Raises:
            BadAudioError: a file is no good, and `stop`.
            BenchmarkError: the cache cannot be written.
        """
        bad: list[BadAudioError] = []
        if not clips:
            return bad
        equal: dict[str, list[Clip]] = {}  # files are made once, for a mixed clip where one of them is
        for clip in sorted(clips, key=lambda clip: clip.path not in mixed):
            key = self.sources.digest(clip) if self.cache else None
            equal.setdefault(key or clip.path, []).append(clip)
        caches = [] if self.cache is None else [self.waves, self.banks]
        with ExitStack() as stack:
            fillers = [stack.enter_context(cache.filling()) for cache in caches]
            stack.enter_context(_one_thread_each())
            work = functools.partial(self._make, mixed)
            first = [alike[0] for alike in equal.values()]
            each = zip(equal.values(), in_order(work, first, processes=processes), strict=True)
            for number, (alike, made) in enumerate(each, start=1):
                if isinstance(made, BadAudioError):
                    if stop:
                        raise made
                    bad += [BadAudioError(self.folder / clip.path, made.reason) for clip in alike]
                else:
                    for filler, values in zip(fillers, made.arrays, strict=False):
                        if values is not None:
                            filler.add(made.source, values)
                if progress:
                    progress("decoding", number, len(equal))
        place = {self.folder / clip.path: number for number, clip in enumerate(clips)}
        return sorted(bad, key=lambda error: place[error.path])

    def statistics(
        self, clips: Sequence[Clip], frames: int, progress: Progress | None = None, workers: int | None = None
    ) -> Level:
        """Level of clips' filter banks, of which the first `frames` rows count.

        Raises:
            BadAudioError: a file is no good.
        """
        level = Level()
        for sums in self.levels(clips, frames, progress, workers):
            if isinstance(sums, BadAudioError):
                raise sums
            level += sums
        return level

    def levels(
        self, clips: Sequence[Clip], frames: int, progress: Progress | None = None, workers: int | None = None
    ) -> Iterator[Level | BadAudioError]:
        """The level of each clip, or what is wrong with its file."""
        found = in_order(functools.partial(self._level, frames), clips, workers, processes=workers is None)
        for number, level in enumerate(found, start=1):
            if progress:
                progress("measuring", number, len(clips))
            yield level

    def _level(self, frames: int, clip: Clip) -> Level | BadAudioError:
        try:
            bank = self.bank(clip)[:frames].astype(np.float64)
        except BadAudioError as error:
            return error
        return Level(bank.size, float(bank.sum()), float(np.square(bank).sum()))

    def _make(self, mixed: Collection[str], clip: Clip) -> Made | BadAudioError:
        path, wants = self.folder / clip.path, self._wanted(clip, mixed) if self.cache else (False, False)
        source = self.sources.digest(clip) if self.cache else ""
        if self.cache and source and not any(wants):  # another process made it in the meantime
            return Made(source, (None, None))
        try:
            data = path.read_bytes()
            wave = decode(path, data)
        except OSError as error:
            return BadAudioError(path, f"cannot be read ({error.strerror})")
        except BadAudioError as error:
            return error
        if self.cache is None:
            return Made("", ())
        if hashlib.sha256(data).hexdigest() != source:
            return BadAudioError(path, "changed while it was read")
        wants_wave, wants_bank = wants
        return Made(source, (wave if wants_wave else None, self._compute(wave) if wants_bank else None))

    def _wanted(self, clip: Clip, mixed: Collection[str]) -> tuple[bool, bool]:
        """Whether waveform and filter bank of a clip are needed and not there."""
        source = self.sources.digest(clip)
        return clip.path in mixed and source not in self.waves, source not in self.banks


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Every core has a clip of its own already."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
