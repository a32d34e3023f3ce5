"""Float32 arrays on disk by content key: append-only, safe for several writers, on network file systems, too.

A folder holds shards (see `array_shard`). Two writers of the same arrays leave two shards with equal content.

Why not an embedded store: LMDB and SQLite need locks that network file systems do not promise. LMDB and Arrow map
files, where an error of the disk kills the process. Arrow has neither keys nor checksums: most of this would stay.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmark.data.array_shard import (
    Array,
    DamagedIndexError,
    Filler,
    Place,
    lock,
    pack_index,
    read_index,
    remove_remains,
    unlink_shard,
)
from benchmark.files import write_atomic

logger = logging.getLogger(__name__)


class ArrayCache:
    """Arrays of one folder; the folder is created by the first writer, not by readers.

    Errors of the system (too many open files, no memory, a file server that restarts) say nothing about the content:
    the array counts as not stored this time, and no file is changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places: dict[str, Place] = {}
        self._known: set[str] = set()  # shards whose index was read
        self._checked: set[str] = set()
        self._load()

    def __contains__(self, key: str | None) -> bool:
        return key in self._places

    def size(self, key: str | None) -> int | None:
        """Return the number of values of an array; None if it is not stored."""
        place = self._places.get(key) if key else None
        return place.size if place else None

    def get(self, key: str | None, start: int = 0, size: int | None = None) -> Array | None:
        """Return an array, (size,), or a part of it; None if it is not stored, cannot be read now, or is damaged.

        The checksum is compared when an array is read for the first time. A damaged array leaves its shard's index.

        Args:
            key: of the array.
            start: first value.
            size: largest number of values; None for all.
        """
        if key is None or (place := self._places.get(key)) is None:
            return None
        end = place.size if size is None else min(place.size, start + size)
        part = place._replace(start=place.start + start, size=max(0, end - start))
        try:
            values = self._read(part if key in self._checked else place)
        except OSError as error:
            _warn_unreadable(self.folder, error)
            return None
        if key not in self._checked:
            if zlib.crc32(values.data) != place.crc:
                warnings.warn(f"{self.folder}: a part of the audio cache is damaged and will be rebuilt", stacklevel=2)
                self._places.pop(key, None)
                self._remove(key, place)
                return None
            self._checked.add(key)
            return values if size is None and not start else values[start:end]
        return values

    @contextmanager
    def filling(self) -> Iterator[Filler]:
        """Yield a writer; arrays that were added stay, even if the block ends with an error.

        On each machine, one process at a time fills a folder. The others wait and then find its arrays. If the folder
        cannot be written or the disk is full, the writer's `error` says so, and it ignores further arrays.
        """
        filler = Filler(self.folder)
        with contextlib.ExitStack() as stack:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                held = stack.enter_context(lock(self.folder))
                if held:
                    remove_remains(self.folder)
            except OSError as error:
                held = False
                filler.stop(error)
            self._load(held=held)
            try:
                yield filler
            finally:
                filler.flush()  # keep the work that was done
        self._load()

    def _load(self, *, held: bool = False) -> None:
        """Read the indexes of new shards.

        Args:
            held: this process holds the lock, so it may remove shards whose index is damaged; if not, they are ignored.
        """
        for index in _indexes(self.folder):
            if index.stem in self._known:
                continue
            try:
                places = read_index(index)
                size = index.with_suffix(".f32").stat().st_size
            except DamagedIndexError as error:
                logger.info("%s: damaged index %s (%s)", index, "removed" if held else "ignored", error)
                if held:
                    unlink_shard(index)
            except FileNotFoundError as error:
                logger.info("%s: ignored, %s is missing", index, error.filename)
            except (OSError, MemoryError) as error:
                _warn_unreadable(self.folder, error)
            else:
                self._known.add(index.stem)
                self._places |= {key: place for key, place in places.items() if place.end <= size}
        logger.debug("%s: found %d arrays in %d shards", self.folder, len(self._places), len(self._known))

    def _read(self, place: Place) -> Array:
        """Read an array. The file is not mapped into memory: there, a failing disk or a cut file kills the process.

        Raises:
            OSError: it cannot be opened or read, or it ends too early.
        """
        values = np.empty(place.size, np.float32)
        with (self.folder / f"{place.shard}.f32").open("rb", buffering=0) as handle:
            handle.seek(4 * place.start)
            if handle.readinto(values.data) != values.nbytes:
                raise OSError(errno.EIO, "it ends too early")
        return values

    def _remove(self, key: str, place: Place) -> None:
        """Take a damaged array out of its shard's index, unless another process is filling the cache now."""
        index = self.folder / f"{place.shard}.npz"
        try:
            with lock(self.folder, wait=False) as held:
                if not held or zlib.crc32(self._read(place).data) == place.crc:
                    return
                rest = read_index(index)  # another process may have changed it
                rest.pop(key, None)
                if rest:
                    write_atomic(index, pack_index(rest))
                else:
                    unlink_shard(index)
                logger.info("%s: removed damaged array %s; %d are left", index, key, len(rest))
        except (OSError, DamagedIndexError) as error:
            logger.info("%s: damaged array %s stays in the index (%s)", index, key, error)


def _indexes(folder: Path) -> list[Path]:
    """Return the indexes in a folder; none if it cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".npz")
    except (FileNotFoundError, NotADirectoryError):  # nothing was cached yet; a writer reports a file at this place
        return []
    except OSError as error:
        _warn_unreadable(folder, error)
        return []


def _warn_unreadable(folder: Path, error: OSError | MemoryError) -> None:
    reason = getattr(error, "strerror", None) or "out of memory"
    text = f"{folder}: the audio cache cannot be read now ({reason}); audio is decoded instead"
    warnings.warn(text, stacklevel=3)  # Python shows equal warnings once
