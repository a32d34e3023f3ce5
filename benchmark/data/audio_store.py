"""The audio of a dataset's folder as waveforms and clean filter banks, read from the cache or computed."""

from __future__ import annotations

import contextlib
import functools
import logging
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmark.data.array_shard import Array
from benchmark.data.audio import RATE, BadAudioError, decode, read_audio, read_content, remove_mean
from benchmark.data.audio_cache import REMEDY, Decoded, open_cache, unwritable
from benchmark.data.frontend import HOP, filter_bank, frame_count
from benchmark.data.manifest import Clip
from benchmark.data.parallel import in_order, torch_threads
from benchmark.progress import Progress
from benchmark.units import data_size, plural

SAMPLE = 20  # clips that are decoded to estimate how long clips are: headers announce any length
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Level:
    """Sums over the cells of filter banks, from which mean and standard deviation follow; levels can be added.

    Attributes:
        cells: number of cells.
        total: sum of their values (log mel).
        squares: sum of the squared values.
    """

    cells: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Level) -> Level:
        return Level(self.cells + other.cells, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """Return the mean in log mel."""
        return self.total / self.cells

    @property
    def std(self) -> float:
        """Return the standard deviation in log mel, which is never 0."""
        return float(max(self.squares / self.cells - self.mean**2, 1e-12) ** 0.5)


@dataclass(frozen=True)
class Estimate:
    """What filling the cache will write.

    Attributes:
        clips: number of clips to decode.
        bytes: estimated size.
        free: free bytes of the disk.
        folder: the cache folder.
    """

    clips: int
    bytes: int
    free: int
    folder: Path

    def __str__(self) -> str:
        return (
            f"{plural(self.clips, 'clip')}, about {data_size(self.bytes)}, into {self.folder} "
            f"({data_size(self.free)} free)"
        )


class AudioStore:
    """Audio of one dataset folder.

    Args:
        folder: the dataset's.
        cache: folder of the audio cache, one for all datasets; None to decode and compute each time.
        mels: bands of the filter banks.
    """

    def __init__(self, folder: Path, cache: Path | None, mels: int) -> None:
        self.folder = folder
        self.cache = cache
        self.mels = mels
        self.stored = open_cache(cache, folder, mels)

    def wave(self, clip: Clip, start: int = 0, samples: int | None = None) -> Array:
        """Return a clip's (samples,) waveform at 16 kHz.

        Args:
            clip: the clip.
            start: first sample.
            samples: largest number of samples; None for all.

        Raises:
            BadAudioError: the file is bad.
            OSError: it is not in the cache, and cannot be read now.
        """
        cached = self.stored.wave(clip, start, samples)
        if cached is not None:
            return cached
        return decode(self.folder / clip.path)[start : None if samples is None else start + samples]

    def bank(self, clip: Clip, start: int = 0, frames: int | None = None) -> Array:
        """Return a clip's (frames, mels) log-mel filter bank, not normalised.

        Args:
            clip: the clip.
            start: first frame.
            frames: largest number of frames; None for all.

        Raises:
            BadAudioError: the file is bad.
            OSError: it is not in the cache, and cannot be read now.
        """
        cached = self.stored.bank(clip, start, frames)
        if cached is not None:
            return cached
        return self._compute(self.wave(clip))[start : None if frames is None else start + frames]

    def frames(self, clip: Clip) -> int:
        """Return the length of a clip's filter bank.

        Raises:
            BadAudioError: the file is bad.
            OSError: it is not in the cache, and cannot be read now.
        """
        cached = self.stored.frames(clip)
        return frame_count(len(self.wave(clip))) if cached is None else cached

    def _compute(self, wave: Array) -> Array:
        bank: Array = filter_bank(torch.from_numpy(remove_mean(wave)).unsqueeze(0), self.mels)[0].numpy()
        return bank

    def lacking(self, clips: Sequence[Clip], mixed: Collection[str], progress: Progress | None = None) -> list[Clip]:
        """Return the clips that have to be added to the cache; without a cache, none.

        Args:
            clips: all clips that are needed.
            mixed: paths of the clips whose waveform is needed too.
            progress: called after each file that was read to identify it.
        """
        self.stored.identify(clips, progress)
        lacking = [clip for clip in clips if any(self.stored.missing(clip, mixed))]
        logger.info("%s: %d of %d clips have to be added to the audio cache", self.folder, len(lacking), len(clips))
        return lacking

    def estimate(self, clips: Sequence[Clip], mixed: Collection[str]) -> Estimate | None:
        """Estimate what filling the cache will write, from a sample of the files.

        Args:
            clips: what `lacking` returned.
            mixed: paths of the clips whose waveform is needed too.

        Returns:
            None, after a warning, if the cache cannot be written or its disk has less room.

        Raises:
            BenchmarkError: there is no cache, or no folder can be made here.
        """
        seconds = self._mean_seconds(clips[:: max(1, len(clips) // SAMPLE)])
        missing = [self.stored.missing(clip, mixed) for clip in clips]
        values = sum(wave * RATE + bank * RATE // HOP * self.mels for wave, bank in missing)
        try:
            cache, free = self.stored.room()
        except OSError as error:
            problem = unwritable(self.cache or Path(), error)
        else:
            estimate = Estimate(len(clips), int(4 * seconds * values), free, cache)
            if estimate.bytes <= free:
                return estimate
            problem = f"the audio cache does not fit on its disk: {estimate}; {REMEDY}"
        warnings.warn(problem, stacklevel=2)
        return None

    def _mean_seconds(self, clips: Sequence[Clip]) -> float:
        """Return the mean length of the clips whose file is good; 0 if there is none."""
        lengths = []
        for clip in clips:
            with contextlib.suppress(BadAudioError, OSError):
                lengths.append(read_audio(self.folder / clip.path).seconds)
        return sum(lengths) / max(1, len(lengths))

    def fill(
        self,
        clips: Sequence[Clip],
        mixed: Collection[str],
        *,
        stop: bool,
        progress: Progress | None = None,
        processes: bool = False,
    ) -> list[BadAudioError]:
        """Decode clips with all cores and add them to the cache; without a cache, only look for bad files.

        If the cache cannot be written, a warning says so, and bad files are looked for only if they are collected:
        as without a cache, `stop` leaves them to whoever reads them.

        Args:
            clips: what `lacking` returned.
            mixed: paths of the clips whose waveform is needed too.
            stop: raise at the first bad file instead of collecting them.
            progress: called after each file.
            processes: use processes if there are many clips.

        Returns:
            The bad files, in the order of the clips.

        Raises:
            BadAudioError: a file is bad, and `stop` is set.
            BenchmarkError: no folder can be made at the cache's place.
            OSError: a file cannot be read now.
        """
        bad: list[BadAudioError] = []
        if not clips:
            return bad
        if self.cache is not None and self.estimate(clips, mixed) is None:
            uncached = AudioStore(self.folder, None, self.mels)
            return bad if stop else uncached.fill(clips, mixed, stop=False, progress=progress, processes=processes)
        groups = self._equal_files(clips, mixed)
        logger.info("%s: decoding %d files for %d clips", self.folder, len(groups), len(clips))
        with self.stored.filling() as add, torch_threads(1):  # each core has a file already
            # the store is sent to worker processes now: it knows what other processes added before the lock was free
            work = functools.partial(self._decode, mixed)
            results = in_order(work, [group[0] for group in groups], processes=processes)
            for number, (group, result) in enumerate(zip(groups, results, strict=True), start=1):
                if isinstance(result, BadAudioError):
                    if stop:
                        raise result
                    bad += [BadAudioError(self.folder / clip.path, result.reason) for clip in group]
                else:
                    add(group[0], result)
                    if result.cancels:
                        self.stored.mark_cancelling(group[0])
                if progress:
                    progress("decoding", number, len(groups))
        place = {self.folder / clip.path: number for number, clip in enumerate(clips)}
        return sorted(bad, key=lambda error: place[error.path])

    def cancelling(self, clips: Iterable[Clip]) -> list[str]:
        """Return the paths of the clips whose channels cancel each other, as far as they are or were in the cache."""
        cancelling = self.stored.cancelling()
        return [clip.path for clip in clips if self.stored.digest(clip) in cancelling]

    def _equal_files(self, clips: Sequence[Clip], mixed: Collection[str]) -> list[list[Clip]]:
        """Group clips by content, each group led by a mixed clip if it has one: equal files are decoded once."""
        groups: dict[str, list[Clip]] = {}
        for clip in sorted(clips, key=lambda clip: clip.path not in mixed):
            groups.setdefault(self.stored.digest(clip) or clip.path, []).append(clip)
        return list(groups.values())

    def statistics(
        self, clips: Sequence[Clip], frames: int | None, progress: Progress | None = None, workers: int | None = None
    ) -> Level:
        """Return the level of the clips' filter banks.

        Args:
            clips: what to measure.
            frames: rows of a filter bank that count; None for all.
            progress: called after each clip.
            workers: number of threads; None for all cores, with processes if there are many clips.

        Raises:
            BadAudioError: a file is bad.
        """
        sum_of_levels = Level()
        for level in self.levels(clips, frames, progress, workers):
            if isinstance(level, BadAudioError):
                raise level
            sum_of_levels += level
        return sum_of_levels

    def levels(
        self, clips: Sequence[Clip], frames: int | None, progress: Progress | None = None, workers: int | None = None
    ) -> Iterator[Level | BadAudioError]:
        """Yield the level of each clip, or the error of its file. For the arguments see `statistics`."""
        results = in_order(functools.partial(self._level, frames), clips, workers, processes=workers is None)
        for number, level in enumerate(results, start=1):
            if progress:
                progress("measuring", number, len(clips))
            yield level

    def _level(self, frames: int | None, clip: Clip) -> Level | BadAudioError:
        try:
            bank = self.bank(clip, 0, frames).astype(np.float64)
        except BadAudioError as error:
            return error
        return Level(bank.size, float(bank.sum()), float(np.square(bank).sum()))

    def _decode(self, mixed: Collection[str], clip: Clip) -> Decoded | BadAudioError:
        """Decode a file and compute what the cache lacks of it."""
        if self.stored.is_complete(clip, mixed):
            return Decoded(None, None, cancels=False)
        path = self.folder / clip.path
        try:
            content = read_content(path)
            audio = read_audio(path, content)
        except BadAudioError as error:
            return error
        if not self.stored.is_unchanged(clip, content):
            return BadAudioError(path, "changed while it was read")
        missing = self.stored.missing(clip, mixed)
        return Decoded(
            audio.wave if missing.wave else None, self._compute(audio.wave) if missing.bank else None, audio.cancels
        )
