"""Folders that a run needs only while it lasts."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from benchmark.records.store import LEASES, RESUME, SCRATCH

LOCK = ".lock"

logger = logging.getLogger(__name__)


@contextmanager
def scratch_folder(results: Path) -> Iterator[Path]:
    """Yield a folder for Tune's own state, which nothing reads, and delete it in the end. Remove those of dead runs.

    The kernel ends the lock on a folder's lock file with its process. Process numbers would not do: two containers that
    share a results folder have the same ones.

    Raises:
        OSError: the folder cannot be written.
    """
    parent = results / SCRATCH
    for path in parent.glob("run-*"):
        if _is_abandoned(path):
            logger.info("%s: removed, its run is dead", path)
            shutil.rmtree(path, ignore_errors=True)
    name = uuid.uuid4().hex[:12]
    draft, folder = parent / f"new-{name}", parent / f"run-{name}"
    draft.mkdir(parents=True)
    with (draft / LOCK).open("w") as handle:
        _lock(handle)
        draft.rename(folder)  # from here on others look at it, and find it locked
        try:
            yield folder
        finally:
            _tidy(folder)


def _is_abandoned(folder: Path) -> bool:
    """Return whether no run holds a folder; False if that cannot be known."""
    try:
        with (folder / LOCK).open("r+") as handle:
            return _lock(handle)
    except OSError:
        return False


def _lock(handle: IO[str]) -> bool:
    """Lock a file until it is closed; return False if another process did, or the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _tidy(scratch: Path) -> None:
    """Remove a scratch folder, and the results folder's working folders that are empty.

    Another run may use the same results folder: its files stay.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    for name in (SCRATCH, LEASES, RESUME):
        with contextlib.suppress(OSError):
            (scratch.parent.parent / name).rmdir()
