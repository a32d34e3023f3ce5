"""The audio cache as one dataset folder sees it: on disk, or no cache at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import shutil
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmark.data.array_cache import ArrayCache
from benchmark.data.array_shard import Array
from benchmark.data.audio import DECODING
from benchmark.data.file_digests import FileDigests
from benchmark.data.frontend import FEATURES
from benchmark.data.manifest import Clip
from benchmark.errors import BenchmarkError
from benchmark.progress import Progress

REMEDY = "make room, name another folder with --cache DIR, or decode again each time with --cache none"
logger = logging.getLogger(__name__)


class Missing(NamedTuple):
    """Whether the waveform and the filter bank of a clip are needed and not in the cache."""

    wave: bool
    bank: bool


class Decoded(NamedTuple):
    """What was decoded of a file.

    Attributes:
        wave: waveform; None if the cache does not need it.
        bank: filter bank; None if the cache does not need it.
        cancels: whether the channels of the file cancel each other.
    """

    wave: Array | None
    bank: Array | None
    cancels: bool


Add = Callable[[Clip, Decoded], None]


class AudioCache(ABC):
    """Keep decoded waveforms and filter banks of one dataset folder by the content of its files."""

    @abstractmethod
    def identify(self, clips: Sequence[Clip], progress: Progress | None = None) -> None:
        """Learn the digests of the clips' files; call this before the other methods."""

    @abstractmethod
    def digest(self, clip: Clip) -> str | None:
        """Return the sha256 of a clip's file; None if it is not known."""

    @abstractmethod
    def wave(self, clip: Clip, start: int = 0, samples: int | None = None) -> Array | None:
        """Return the (samples,) waveform, or `samples` of it from a sample on; None if it is not stored."""

    @abstractmethod
    def bank(self, clip: Clip, start: int = 0, frames: int | None = None) -> Array | None:
        """Return the (frames, mels) filter bank, or `frames` of it from a frame on; None if it is not stored."""

    @abstractmethod
    def frames(self, clip: Clip) -> int | None:
        """Return the length of the whole filter bank; None if it is not stored."""

    @abstractmethod
    def missing(self, clip: Clip, mixed: Collection[str]) -> Missing:
        """Return which arrays of a clip have to be added; waveforms only for paths in `mixed`."""

    @abstractmethod
    def is_complete(self, clip: Clip, mixed: Collection[str]) -> bool:
        """Return True if the clip's file does not have to be read."""

    @abstractmethod
    def is_unchanged(self, clip: Clip, content: bytes) -> bool:
        """Return True if the content of a clip's file is what `identify` read, or `identify` could not read it."""

    @abstractmethod
    def mark_cancelling(self, clip: Clip) -> None:
        """Remember that the channels of a clip's file cancel each other."""

    @abstractmethod
    def cancelling(self) -> Set[str]:
        """Return the digests of the files whose channels cancel each other."""

    @abstractmethod
    def room(self) -> tuple[Path, int]:
        """Return the cache folder and the free bytes of its disk.

        Raises:
            BenchmarkError: there is no cache, or no folder can be made here.
            OSError: the folder cannot be written.
        """

    @abstractmethod
    def filling(self) -> AbstractContextManager[Add]:
        """Return a context that yields a function which adds what was decoded of a clip.

        If the cache cannot be written, nothing more is added, and a warning says so.
        """


class DiskCache(AudioCache):
    """Arrays in shards below the cache folder.

    Args:
        cache: the cache folder, one for all datasets.
        folder: the dataset's.
        mels: bands of the filter banks.
    """

    def __init__(self, cache: Path, folder: Path, mels: int) -> None:
        self.cache = cache
        self.mels = mels
        self.waves = ArrayCache(cache / f"waves-{DECODING}")
        self.banks = ArrayCache(cache / f"banks{mels}-{FEATURES}-{DECODING}")
        self.marks = cache / f"cancelling-{DECODING}"  # an empty file for each, named by its digest
        self.file_digests = FileDigests(cache, folder)

    def identify(self, clips: Sequence[Clip], progress: Progress | None = None) -> None:
        """See `AudioCache.identify`."""
        for number, _ in enumerate(self.file_digests.identify(clips), start=1):
            if progress:
                progress("identifying", number, len(clips))

    def digest(self, clip: Clip) -> str | None:
        """See `AudioCache.digest`."""
        return self.file_digests.digest(clip)

    def wave(self, clip: Clip, start: int = 0, samples: int | None = None) -> Array | None:
        """See `AudioCache.wave`."""
        return self.waves.get(self.digest(clip), start, samples)

    def bank(self, clip: Clip, start: int = 0, frames: int | None = None) -> Array | None:
        """See `AudioCache.bank`."""
        size = None if frames is None else frames * self.mels
        values = self.banks.get(self.digest(clip), start * self.mels, size)
        return None if values is None else values.reshape(-1, self.mels)

    def frames(self, clip: Clip) -> int | None:
        """See `AudioCache.frames`."""
        size = self.banks.size(self.digest(clip))
        return None if size is None else size // self.mels

    def missing(self, clip: Clip, mixed: Collection[str]) -> Missing:
        """See `AudioCache.missing`."""
        digest = self.digest(clip)
        return Missing(clip.path in mixed and digest not in self.waves, digest not in self.banks)

    def is_complete(self, clip: Clip, mixed: Collection[str]) -> bool:
        """Return True if another process added the clip in the meantime."""
        return not any(self.missing(clip, mixed))

    def is_unchanged(self, clip: Clip, content: bytes) -> bool:
        """See `AudioCache.is_unchanged`."""
        return self.digest(clip) in {None, hashlib.sha256(content).hexdigest()}

    def mark_cancelling(self, clip: Clip) -> None:
        """See `AudioCache.mark_cancelling`; a cache that cannot be written remembers nothing."""
        if (digest := self.digest(clip)) is not None:
            with contextlib.suppress(OSError):
                self.marks.mkdir(parents=True, exist_ok=True)
                (self.marks / digest).touch()

    def cancelling(self) -> Set[str]:
        """See `AudioCache.cancelling`."""
        try:
            return {path.name for path in self.marks.iterdir()}
        except OSError:
            return set()

    def room(self) -> tuple[Path, int]:
        """See `AudioCache.room`."""
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise BenchmarkError(unwritable(self.cache, error)) from None
        if not os.access(self.cache, os.W_OK):
            raise PermissionError(errno.EACCES, "it is read-only")
        return self.cache, shutil.disk_usage(self.cache).free

    @contextmanager
    def filling(self) -> Iterator[Add]:
        """See `AudioCache.filling`."""
        with self.waves.filling() as waves, self.banks.filling() as banks:

            def add(clip: Clip, decoded: Decoded) -> None:
                digest = self.digest(clip)
                if digest is None:
                    return
                for filler, values in ((waves, decoded.wave), (banks, decoded.bank)):
                    if values is not None:
                        filler.add(digest, values)

            yield add
        if error := waves.error or banks.error:
            warnings.warn(unwritable(self.cache, error), stacklevel=3)


class NullCache(AudioCache):
    """No cache (`--cache none`): files are decoded each time and nothing is stored."""

    def identify(self, clips: Sequence[Clip], progress: Progress | None = None) -> None:
        """Do nothing: without a cache, digests are of no use."""

    def digest(self, clip: Clip) -> str | None:
        """Return None."""
        return None

    def wave(self, clip: Clip, start: int = 0, samples: int | None = None) -> Array | None:
        """Return None."""
        return None

    def bank(self, clip: Clip, start: int = 0, frames: int | None = None) -> Array | None:
        """Return None."""
        return None

    def frames(self, clip: Clip) -> int | None:
        """Return None."""
        return None

    def missing(self, clip: Clip, mixed: Collection[str]) -> Missing:
        """Return that nothing has to be added."""
        return Missing(wave=False, bank=False)

    def is_complete(self, clip: Clip, mixed: Collection[str]) -> bool:
        """Return False: a file that may be bad has to be read each time."""
        return False

    def is_unchanged(self, clip: Clip, content: bytes) -> bool:
        """Return True: there is nothing to compare with."""
        return True

    def mark_cancelling(self, clip: Clip) -> None:
        """Do nothing."""

    def cancelling(self) -> Set[str]:
        """Return nothing."""
        return set()

    def room(self) -> tuple[Path, int]:
        """Raise an error: nothing is stored."""
        raise BenchmarkError("there is no audio cache to fill; name a folder with --cache DIR")

    @contextmanager
    def filling(self) -> Iterator[Add]:
        """Yield a function that does nothing."""
        yield lambda clip, decoded: None


def unwritable(cache: Path, error: OSError) -> str:
    """Return what is wrong with a cache folder, and what to do."""
    return f"{cache}: the audio cache cannot be written ({error.strerror}); {REMEDY}"


def open_cache(cache: Path | None, folder: Path, mels: int) -> AudioCache:
    """Open the audio cache for one dataset folder.

    Args:
        cache: the cache folder; None for no cache.
        folder: the dataset's.
        mels: bands of the filter banks.
    """
    if cache is None:
        logger.debug("%s: no audio cache; files are decoded each time", folder)
        return NullCache()
    return DiskCache(cache, folder, mels)
