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
from typing import Any

import numpy as np
import torch

from benchmark.files import write_atomic
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
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        self.check()
        if self.last.is_file():
            self.last.replace(self.previous)
        write_atomic(self.last, hashlib.sha256(content).digest() + content)

    def load(self, written_by: str) -> State | None:
        """Return the newest undamaged state with this `written_by`; None if there is none.

        Its tensors are on the CPU, wherever they were. A state that is not used is logged.
        """
        for path in (self.last, self.previous):
            with contextlib.suppress(OSError):
                content = path.read_bytes()
                if hashlib.sha256(content[DIGEST_BYTES:]).digest() != content[:DIGEST_BYTES]:
                    logger.warning("%s: damaged resume state is not used", path)
                    continue
                try:
                    state: State = torch.load(io.BytesIO(content[DIGEST_BYTES:]), map_location="cpu", weights_only=True)
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


def random_state() -> State:
    """Return the state of every generator that a model or method may draw from."""
    kind, keys, position, has_gauss, cached = np.random.get_state()
    version, words, gauss = random.getstate()
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, torch.from_numpy(np.asarray(keys, np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,  # a trial uses one GPU
    }


def restore_random_state(state: State) -> None:
    """Set every generator to a state from `random_state`."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
