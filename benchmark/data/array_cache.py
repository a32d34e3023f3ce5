"""Float32 arrays on disk by content key: memory-mapped, append-only, safe for several writers.

A folder holds shards. A shard is a file `NAME.f32` with arrays one after another, and its index `NAME.npz`. It becomes
valid when its index is renamed into place. Two writers of the same arrays leave two shards with equal content.
Names begin with the host name, so that each machine removes only what its own dead writers left.
"""

from __future__ import annotations

import contextlib
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic

SHARD_BYTES = 2**29
KEY_BYTES = 32
REMEDY = "make room, name another folder with --cache DIR, or decode again each time with --cache none"
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


class ArrayCache:
    """Arrays of one folder; the folder is created by the first writer, not by readers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places: dict[str, Place] = {}
        self._shards: dict[str, Array] = {}
        self._checked: set[str] = set()
        self._load()

    def __contains__(self, key: str | None) -> bool:
        return key in self._places

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}}  # a memory map would be sent as its content

    def get(self, key: str | None) -> Array | None:
        """Return a view of an array, (size,), never a copy; None if it is not stored, or damaged.

        The checksum is compared when an array is read for the first time. A damaged shard is removed.
        """
        if key is None or (place := self._places.get(key)) is None:
            return None
        values = self._shard(place.shard)[place.start : place.start + place.size]
        if key not in self._checked:
            if len(values) != place.size or zlib.crc32(values.data) != place.crc:
                warnings.warn(f"{self.folder}: a part of the audio cache is damaged and will be rebuilt", stacklevel=2)
                self._discard(place.shard)
                return None
            self._checked.add(key)
        return values

    @contextmanager
    def filling(self) -> Iterator[Filler]:
        """Yield a writer; arrays that were added stay, even if the block ends with an error.

        On each machine, one process at a time fills a folder. The others wait and then find its arrays.

        Raises:
            BenchmarkError: the folder cannot be written, or the disk is full.
        """
        filler = Filler(self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _lock(self.folder):
                self._load(tidy=True)
                try:
                    yield filler
                except OSError:
                    raise
                except BaseException:
                    filler.flush()  # keep the work that was done
                    raise
                else:
                    filler.flush()
                finally:
                    filler.drop()
        except OSError as error:
            raise unusable(self.folder, error) from None
        self._load()

    def _load(self, *, tidy: bool = False) -> None:
        """Read the indexes of new shards.

        Args:
            tidy: remove broken shards; only the holder of the lock may do so. Otherwise they are ignored.
        """
        known = {place.shard for place in self._places.values()}
        for index in sorted(self.folder.glob("*.npz")):
            if index.stem in known:
                continue
            try:
                with np.load(index, allow_pickle=False) as content:
                    keys, starts, sizes, crcs = (content[name] for name in ("keys", "starts", "sizes", "crcs"))
                end = int(starts[-1] + sizes[-1])
                whole = index.with_suffix(".f32").stat().st_size == 4 * end
            except PermissionError:
                raise BenchmarkError(f"{index}: cannot be read (permission denied); {REMEDY}") from None
            except (OSError, ValueError, KeyError, IndexError, EOFError, zlib.error, zipfile.BadZipFile):
                whole = False
            if not whole:
                logger.info("%s: broken part of the audio cache %s", index, "removed" if tidy else "ignored")
                if tidy:
                    self._discard(index.stem)
                continue
            names = [row.tobytes().hex() for row in keys]
            places = zip(starts.tolist(), sizes.tolist(), crcs.tolist(), strict=True)
            self._places |= {key: Place(index.stem, *place) for key, place in zip(names, places, strict=True)}
        shards = len({place.shard for place in self._places.values()})
        logger.debug("%s: found %d arrays in %d shards", self.folder, len(self._places), shards)

    def _shard(self, name: str) -> Array:
        if name not in self._shards:
            try:  # mode c: torch needs writable memory; nothing is written to the file
                self._shards[name] = np.memmap(self.folder / f"{name}.f32", np.float32, "c").view(np.ndarray)
            except (OSError, ValueError):
                return np.empty(0, np.float32)
        return self._shards[name]

    def _discard(self, shard: str) -> None:
        logger.info("%s: removing shard %s", self.folder, shard)
        self._places = {key: place for key, place in self._places.items() if place.shard != shard}
        self._shards.pop(shard, None)
        with contextlib.suppress(OSError):
            (self.folder / f"{shard}.npz").unlink(missing_ok=True)
            (self.folder / f"{shard}.f32").unlink(missing_ok=True)


class Filler:
    """Write arrays into shards of about `SHARD_BYTES`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._handle: BinaryIO | None = None
        self._name = ""
        self._index: list[tuple[str, int, int, int]] = []
        self._end = 0

    def add(self, key: str, values: Array) -> None:
        """Append an array of any shape; it is stored flat."""
        if self._handle is None:
            self._name, self._index, self._end = f"{socket.gethostname()}-{uuid.uuid4().hex}", [], 0
            self._handle = self._draft.open("wb")
        content = np.ascontiguousarray(values, np.float32).reshape(-1)
        self._handle.write(content.data)
        self._index.append((key, self._end, len(content), zlib.crc32(content.data)))
        self._end += len(content)
        if 4 * self._end >= SHARD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Complete the current shard: write its index, from which on its arrays are found."""
        if self._handle is None:
            return
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()
        self._handle = None
        self._draft.rename(self.folder / f"{self._name}.f32")
        keys, starts, sizes, crcs = zip(*self._index, strict=True)
        buffer = io.BytesIO()
        np.savez(
            buffer,
            keys=np.frombuffer(bytes.fromhex("".join(keys)), np.uint8).reshape(-1, KEY_BYTES),
            starts=np.array(starts, np.int64),
            sizes=np.array(sizes, np.int64),
            crcs=np.array(crcs, np.uint32),
        )
        write_atomic(self.folder / f"{self._name}.npz", buffer.getvalue())

    def drop(self) -> None:
        """Remove the current shard if it is not complete."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._handle.close()
            self._handle = None
            self._draft.unlink(missing_ok=True)

    @property
    def _draft(self) -> Path:
        return self.folder / f".{self._name}.tmp"


def unusable(folder: Path, error: OSError) -> BenchmarkError:
    """Return an error that says what is wrong with a cache folder, and what to do."""
    return BenchmarkError(f"{folder}: the audio cache cannot be written ({error.strerror}); {REMEDY}")


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Wait for other writers on this machine, then remove what dead ones left."""
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            warnings.warn(f"{folder}: another process is filling the audio cache; waiting for it", stacklevel=4)
            started = time.monotonic()
            fcntl.flock(handle, fcntl.LOCK_EX)
            logger.info("%s: waited %.0f s for another process", folder, time.monotonic() - started)
        except OSError:  # without locks, two processes may do the same work, nothing worse
            logger.info("%s: this file system has no locks; another process may do the same work", folder)
            yield
            return
        of_this_machine = re.compile(rf"\.?{re.escape(socket.gethostname())}-[0-9a-f]{{32}}\.(tmp|f32)")
        for path in folder.iterdir():
            if of_this_machine.fullmatch(path.name) and not path.with_suffix(".npz").is_file():
                logger.info("%s: removing what an interrupted process left", path)
                path.unlink(missing_ok=True)
        yield
