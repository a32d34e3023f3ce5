"""Float32 arrays on disk by content key: append-only, safe for several writers, on network file systems, too.

A folder holds shards. A shard is a file `NAME.f32` with arrays one after another, and its index `NAME.npz`. It becomes
valid when its index is renamed into place. Two writers of the same arrays leave two shards with equal content.
Names begin with the host name, so that each machine removes only what its own dead writers left.

Why not an embedded store: LMDB and SQLite need locks that network file systems do not promise. LMDB and Arrow map
files, where an error of the disk kills the process. Arrow has neither keys nor checksums: most of this would stay.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import logging
import os
import re
import socket
import time
import uuid
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.files import write_atomic

SHARD_BYTES = 2**29
KEY_BYTES = 32
Array = npt.NDArray[np.float32]
logger = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where an array is, and its checksum.

    Attributes:
        shard: name of the shard.
        start: position of the first value.
        size: number of values.
        crc: CRC-32 of the values.
    """

    shard: str
    start: int
    size: int
    crc: int

    @property
    def end(self) -> int:
        """Return the byte after the last value."""
        return 4 * (self.start + self.size)


class DamagedIndexError(Exception):
    """An index was read, and its content is not what was written."""


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

    def get(self, key: str | None) -> Array | None:
        """Return an array, (size,); None if it is not stored, cannot be read now, or is damaged.

        The checksum is compared when an array is read for the first time. A damaged array leaves its shard's index.
        """
        if key is None or (place := self._places.get(key)) is None:
            return None
        try:
            values = self._read(place)
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
                held = stack.enter_context(_lock(self.folder))
                if held:
                    _remove_remains(self.folder)
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
                    _unlink_shard(index)
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
            with _lock(self.folder, wait=False) as held:
                if not held or zlib.crc32(self._read(place).data) == place.crc:
                    return
                rest = read_index(index)  # another process may have changed it
                rest.pop(key, None)
                if rest:
                    write_atomic(index, pack_index(rest))
                else:
                    _unlink_shard(index)
                logger.info("%s: removed damaged array %s; %d are left", index, key, len(rest))
        except (OSError, DamagedIndexError) as error:
            logger.info("%s: damaged array %s stays in the index (%s)", index, key, error)


class Filler:
    """Write arrays into shards of about `SHARD_BYTES`.

    Attributes:
        error: why nothing more is written; None as long as all is well.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.error: OSError | None = None
        self._handle: BinaryIO | None = None
        self._name = ""
        self._places: dict[str, Place] = {}
        self._end = 0

    def add(self, key: str, values: Array) -> None:
        """Append an array of any shape; it is stored flat."""
        if self.error is not None:
            return
        content = np.ascontiguousarray(values, np.float32).reshape(-1)
        try:
            if self._handle is None:
                self._name, self._places, self._end = f"{socket.gethostname()}-{uuid.uuid4().hex}", {}, 0
                self._handle = self._draft.open("wb")
            self._handle.write(content.data)
        except OSError as error:
            self.stop(error)
            return
        self._places[key] = Place(self._name, self._end, len(content), zlib.crc32(content.data))
        self._end += len(content)
        if 4 * self._end >= SHARD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Complete the current shard: write its index, from which on its arrays are found."""
        if self._handle is None:
            return
        try:
            self._handle.flush()
            os.fsync(self._handle.fileno())
            self._handle.close()
            self._draft.rename(self.folder / f"{self._name}.f32")
            write_atomic(self.folder / f"{self._name}.npz", pack_index(self._places))
        except OSError as error:
            self.stop(error)
        self._handle = None

    def stop(self, error: OSError) -> None:
        """Write nothing more, and remove the current shard, which is not complete."""
        logger.info("%s: cannot be written (%s)", self.folder, error)
        self.error = error
        if self._handle is not None:
            for remove in (self._handle.close, self._draft.unlink, (self.folder / f"{self._name}.f32").unlink):
                with contextlib.suppress(OSError):
                    remove()
            self._handle = None

    @property
    def _draft(self) -> Path:
        return self.folder / f".{self._name}.tmp"


def pack_index(places: Mapping[str, Place]) -> bytes:
    """Return the content of a shard's index."""
    _, starts, sizes, crcs = zip(*places.values(), strict=True)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        keys=np.frombuffer(bytes.fromhex("".join(places)), np.uint8).reshape(-1, KEY_BYTES),
        starts=np.array(starts, np.int64),
        sizes=np.array(sizes, np.int64),
        crcs=np.array(crcs, np.uint32),
    )
    return buffer.getvalue()


def read_index(path: Path) -> dict[str, Place]:
    """Return the places of a shard's arrays by key.

    Raises:
        OSError: the file cannot be read now.
        DamagedIndexError: it was read, and its checksums or its structure are wrong.
    """
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if (name := file.testzip()) is not None:
                raise DamagedIndexError(f"checksum of {name}")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            rows = zip(*(arrays[name].tolist() for name in ("starts", "sizes", "crcs")), strict=True)
            keys = (row.tobytes().hex() for row in arrays["keys"])
            return {key: Place(path.stem, *row) for key, row in zip(keys, rows, strict=True)}
    except (DamagedIndexError, MemoryError):
        raise
    except Exception as error:  # from here on all is in memory: whatever fails is a matter of the content
        raise DamagedIndexError(f"{type(error).__name__}: {error}") from None


def _indexes(folder: Path) -> list[Path]:
    """Return the indexes in a folder; none if it cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".npz")
    except FileNotFoundError:
        return []
    except OSError as error:
        _warn_unreadable(folder, error)
        return []


def _warn_unreadable(folder: Path, error: OSError | MemoryError) -> None:
    reason = getattr(error, "strerror", None) or "out of memory"
    text = f"{folder}: the audio cache cannot be read now ({reason}); audio is decoded instead"
    warnings.warn(text, stacklevel=3)  # Python shows equal warnings once


def _unlink_shard(index: Path) -> None:
    for path in (index, index.with_suffix(".f32")):  # without its index, data is removed by the next writer
        with contextlib.suppress(OSError):
            path.unlink()


@contextmanager
def _lock(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Lock a folder against other writers on this machine; yield whether the lock is held.

    Args:
        folder: of the arrays.
        wait: for another writer to end, instead of yielding False.

    Raises:
        OSError: the folder cannot be written.
    """
    with (folder / ".lock").open("w") as handle:
        held = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = wait
            if wait:
                warnings.warn(f"{folder}: another process is filling the audio cache; waiting for it", stacklevel=5)
                started = time.monotonic()
                fcntl.flock(handle, fcntl.LOCK_EX)
                logger.info("%s: waited %.0f s for another process", folder, time.monotonic() - started)
        except OSError:  # without locks, two processes may do the same work, nothing worse
            held = False
            logger.info("%s: this file system has no locks; another process may do the same work", folder)
        yield held


def _remove_remains(folder: Path) -> None:
    """Remove what dead writers of this machine left; only the holder of the lock may do so."""
    names = {path.name for path in folder.iterdir()}
    of_this_machine = re.compile(rf"\.?{re.escape(socket.gethostname())}-[0-9a-f]{{32}}(\.npz\..*)?\.(tmp|f32)")
    for name in names:
        if of_this_machine.fullmatch(name) and f"{Path(name).stem}.npz" not in names:
            logger.info("%s: removing what an interrupted process left", folder / name)
            with contextlib.suppress(OSError):
                (folder / name).unlink()
