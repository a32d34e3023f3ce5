"""Files and folders that are written completely or not at all, and the folders that they go to."""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from benchmark.errors import BenchmarkError


def existing_folder(path: Path) -> Path:
    """Return the folder, or the nearest one around it that exists: the one whose disk and permissions count."""
    absolute = path.absolute()
    return next(folder for folder in (absolute, *absolute.parents) if folder.is_dir())


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash at any moment, never sees a part of it. Missing folders are made.

    Raises:
        OSError: nothing was written.
    """
    with open_atomic(path) as handle:
        handle.write(data)


@contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Yield a temporary file that replaces `path` at the end, as in `write_atomic`; an exception inside removes it.

    Raises:
        OSError: nothing was written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), _draft(path) as handle:
        yield handle


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file in the errors of writing it, as Python names none: a full disk has to be found."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


@contextmanager
def _draft(path: Path) -> Iterator[BinaryIO]:
    """Yield a temporary file, and rename it to `path` when it is complete."""
    draft = path.parent / f".{path.name}.{uuid.uuid4().hex[:12]}.tmp"
    # The kernel gives it the mode that the umask asks for; mkstemp would not.
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name of the file has to survive a power failure, too
    finally:
        os.close(folder)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `path` at the end; until then, an earlier folder stays as it is.

    An exception inside removes the new one. What an interrupted process left is removed by the next call.

    Raises:
        BenchmarkError: another process writes the same folder.
        OSError: nothing was replaced.
    """
    place = path.absolute()
    draft, earlier = (place.parent / f".{place.name}.{kind}" for kind in ("new", "old"))
    with _alone(draft, path):
        if earlier.exists() and not place.exists():  # ended between the two renames below
            earlier.rename(place)
        shutil.rmtree(earlier, ignore_errors=True)
        try:
            yield draft
            if place.exists():
                place.rename(earlier)
            draft.rename(place)
        except BaseException:
            if earlier.exists() and not place.exists():
                earlier.rename(place)
            shutil.rmtree(draft, ignore_errors=True)
            raise
        shutil.rmtree(earlier, ignore_errors=True)


@contextmanager
def _alone(draft: Path, path: Path) -> Iterator[None]:
    """Make an empty folder that no other process uses at the same time.

    Args:
        draft: the folder.
        path: what the error names.
    """
    draft.mkdir(parents=True, exist_ok=True)
    lock = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_draft = draft.is_dir() and os.path.samestat(os.fstat(lock), draft.stat())
        except BlockingIOError:
            is_draft = False
        if not is_draft:  # or another process has just put it in its place
            raise BenchmarkError(f"{path}: another process is writing it; wait until it has ended")
        for left in draft.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        yield
    finally:
        os.close(lock)
