"""The files of an array cache: shards, their indexes, and the lock of writers.

A shard is a file `NAME.f32` with arrays one after another, and its index `NAME.npz`. It becomes valid when its index is
renamed into place. Names begin with the host name, so that each machine removes only what its own dead writers left.
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


def unlink_shard(index: Path) -> None:
    """Remove a shard, its index first; only the holder of the lock may do so."""
    for path in (index, index.with_suffix(".f32")):  # without its index, data is removed by the next writer
        with contextlib.suppress(OSError):
            path.unlink()


@contextmanager
def lock(folder: Path, *, wait: bool = True) -> Iterator[bool]:
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


def remove_remains(folder: Path) -> None:
    """Remove what dead writers of this machine left; only the holder of the lock may do so."""
    names = {path.name for path in folder.iterdir()}
    of_this_machine = re.compile(rf"\.?{re.escape(socket.gethostname())}-[0-9a-f]{{32}}(\.npz\..*)?\.(tmp|f32)")
    for name in names:
        if of_this_machine.fullmatch(name) and f"{Path(name).stem}.npz" not in names:
            logger.info("%s: removing what an interrupted process left", folder / name)
            with contextlib.suppress(OSError):
                (folder / name).unlink()
