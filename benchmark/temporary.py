"""Folders for temporary files and sockets: of this user alone, with a short path, on a disk with room."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.units import data_size

SOCKET_BYTES = 107  # longest path of a socket on Linux
SOCKETS_OF_RAY = "session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.99"
LOG_BYTES = 20 * 10**6  # that Ray's processes write in a run
OBJECT_STORE_BYTES = 100 * 2**20  # of Ray; nothing large passes through it
SHARED_MEMORY = Path("/dev/shm")
SHORT = (Path("/tmp"), Path("/var/tmp"), SHARED_MEMORY)

logger = logging.getLogger(__name__)


def ray_folder() -> Path:
    """Return the folder for Ray's sockets and logs: Ray's own choice if it can be used, else a short one.

    Raises:
        BenchmarkError: no folder can be used.
    """
    preferred = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    store = OBJECT_STORE_BYTES if shared_memory() < OBJECT_STORE_BYTES else 0  # Ray puts it where there is room
    return socket_folder(Path(preferred).absolute() / "ray", SOCKETS_OF_RAY, LOG_BYTES + store)


def shared_memory() -> int:
    """Return the free bytes of /dev/shm; 0 if there is none."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0


def socket_folder(preferred: Path, inside: str, room: int, short: Sequence[Path] = SHORT) -> Path:
    """Return the preferred folder if it can hold sockets, else a folder of this user in a short place.

    Args:
        preferred: used if it can be.
        inside: longest path of a socket in the folder.
        room: bytes that will be written.
        short: places of the other folders.

    Raises:
        BenchmarkError: none of the folders can be used; the message says why, and what to do.
    """
    faults = []
    for folder in (preferred, *(place / f"ray-{os.getuid()}" for place in short)):
        if fault := _fault(folder, inside, room):
            faults.append(f"{folder}: {fault}")
            continue
        if faults:
            logger.info("temporary files go to %s (%s)", folder, "; ".join(faults))
        return folder
    raise BenchmarkError(
        f"no folder for temporary files can be used ({'; '.join(faults)}); set TMPDIR to a short path with "
        f"{data_size(room)} of room"
    )


def is_too_long(path: Path) -> bool:
    """Return whether a path is too long for a socket."""
    return len(os.fsencode(path)) > SOCKET_BYTES


def _fault(folder: Path, inside: str, room: int) -> str:
    """Return why a folder cannot be used; empty if it can. A missing one is not created here."""
    if is_too_long(folder / inside):
        return "its path is too long for sockets"
    try:
        if folder.exists() and not folder.is_dir():
            return "it is not a folder"
        if folder.exists() and folder.stat().st_uid != os.getuid():
            return "it belongs to another user"
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not os.access(existing, os.W_OK | os.X_OK):
            return "it cannot be written"
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return str(error.strerror)
    return "" if free >= room else f"{data_size(free)} free, {data_size(room)} are needed"
