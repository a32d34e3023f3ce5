"""Resume state of a trial: what it needs to continue after its last finished epoch.

Two generations are kept, each with its digest, so that a process may be killed while it writes. A state holds only what
cannot be computed again: what trains, optimizer, schedule, generators, curves and predictions so far.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from benchmark.files import open_atomic
from benchmark.records.store import RESUME

LAST, PREVIOUS = "last.state", "previous.state"
DIGEST_BYTES = 32
State = dict[str, Any]


class UnfitStateError(ValueError):
    """A resume state that does not fit the trial it was written for. Nothing of it was loaded."""


logger = logging.getLogger(__name__)


class ResumeFiles:
    """The resume state of one trial on disk.

    Args:
        folder: folder of this trial alone.
        check: called before every write; raises when another process has taken the trial over.
    """

    def __init__(self, folder: Path, check: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self.check = check
        self.last, self.previous = folder / LAST, folder / PREVIOUS

    @classmethod
    def of(cls, results: Path, trial_id: str, check: Callable[[], None] = lambda: None) -> ResumeFiles:
        """Return the files of a trial in a results folder.

        Args:
            results: the results folder.
            trial_id: id of the trial.
            check: see the class.
        """
        return cls(results / RESUME / trial_id, check)

    def save(self, state: State) -> None:
        """Write a state; the one before it stays until the next call."""
        with open_atomic(self.last) as handle:
            handle.write(bytes(DIGEST_BYTES))
            content = _HashingWriter(handle)
            torch.save(state, content)  # type: ignore[arg-type]  # it only writes
            handle.seek(0)
            handle.write(content.digest())
            self.check()
            if self.last.is_file():
                self.last.replace(self.previous)

    def load(self, written_by: str) -> State | None:
        """Return the newest undamaged state with this `written_by`; None if there is none.

        Its tensors are on the CPU, wherever they were. A state that is not used is logged.
        """
        for path in (self.last, self.previous):
            with contextlib.suppress(OSError), path.open("rb") as handle:
                digest = handle.read(DIGEST_BYTES)
                if hashlib.file_digest(handle, "sha256").digest() != digest:
                    logger.warning("%s: damaged resume state is not used", path)
                    continue
                try:
                    state: State = torch.load(_Content(handle), map_location="cpu", weights_only=True)  # type: ignore[arg-type]
                except (RuntimeError, pickle.UnpicklingError) as error:  # its digest is right: another torch wrote it
                    logger.warning("%s: resume state cannot be read and is not used: %s", path, error)
                    continue
                if state.get("written_by") == written_by:
                    return state
                logger.warning(
                    "%s: resume state is not used; it is of '%s', and this is '%s'",
                    *(path, state.get("written_by"), written_by),
                )
        return None

    def remove(self) -> None:
        """Delete the state of a trial that has its record."""
        shutil.rmtree(self.folder, ignore_errors=True)


class _HashingWriter:
    """A file that `torch.save` writes to from front to back; the digest is computed on the way, without a copy."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._handle.write(data)

    def flush(self) -> None:
        self._handle.flush()

    def digest(self) -> bytes:
        return self._hash.digest()


class _Content(io.RawIOBase):
    """The part of a file after the digest, for `torch.load`, which takes a file from its beginning."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self.seek(0)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._handle.readinto(buffer)  # type: ignore[attr-defined,no-any-return]

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        shift = DIGEST_BYTES if whence == io.SEEK_SET else 0
        return self._handle.seek(offset + shift, whence) - DIGEST_BYTES

    def tell(self) -> int:
        return self._handle.tell() - DIGEST_BYTES


def random_state() -> State:
    """Return the state of every generator that a model or method may draw from."""
    kind, keys, position, has_gauss, cached = np.random.get_state()
    version, words, gauss = random.getstate()
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, torch.from_numpy(np.asarray(keys, np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if _uses_gpu() else None,  # a trial uses one GPU
    }


def restore_random_state(state: State) -> None:
    """Set every generator to a state from `random_state`."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and _uses_gpu():
        torch.cuda.set_rng_state(state["cuda"])


def _uses_gpu() -> bool:
    """Return whether this process has started CUDA: to ask for its generator would start it."""
    started: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return started
