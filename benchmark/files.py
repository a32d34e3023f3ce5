"""Files that are written completely or not at all, and the folders that they go to."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


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
