"""Limits on what is unpacked: room on the disk, size of a file, and size of all files against that of the archive."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.units import data_size

LARGEST = 10**9  # bytes of a file of audio or labels that is read into memory
MOST = 100  # unpacked size, in sizes of the archive: audio and tables have less than a tenth of it
ALLOWED = 10**9  # bytes that an archive of any size may unpack to
SPARE = 10**8  # bytes that stay free on the disk


class NoRoomError(BenchmarkError):
    """The disk has too little room; what was downloaded is good."""


def check_file(place: str, size: int) -> None:
    """Check that a file is small enough for the memory.

    Args:
        place: where it is, for the message.
        size: in bytes.

    Raises:
        BenchmarkError: it is too large for a recording.
    """
    if size > LARGEST:
        raise BenchmarkError(f"{place}: has {data_size(size)}, more than a recording can have ({data_size(LARGEST)})")


class Room:
    """Count what is written into a folder, before it is written.

    Args:
        folder: where files go.
        archive: what they come from; None where that is no single file.
    """

    def __init__(self, folder: Path, archive: Path | None = None) -> None:
        self._folder = folder
        self._archive = archive
        self._most = max(ALLOWED, MOST * archive.stat().st_size) if archive else None
        self._total = 0

    def take(self, size: int) -> None:
        """Count a file.

        Args:
            size: in bytes.

        Raises:
            NoRoomError: the disk has too little room for it.
            BenchmarkError: the archive unpacks to far more than its own size.
        """
        self._total += size
        if self._most is not None and self._total > self._most:
            raise BenchmarkError(
                f"{self._archive}: unpacks to more than {data_size(self._most)}, {MOST} times its size or more; no "
                "archive of audio does"
            )
        free = shutil.disk_usage(self._folder).free
        if free < size + SPARE:
            raise NoRoomError(
                f"{self._folder}: {data_size(free)} are free, too little to unpack {data_size(size)} more; "
                "nothing was unpacked"
            )
