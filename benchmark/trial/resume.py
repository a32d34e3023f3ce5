"""Epoch checkpoints of a trial: two generations, each with its digest, only what cannot be made again."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.files import write_atomic

State = dict[str, Any]
DIGEST_BYTES = 32


class ResumeFiles:
    """The checkpoints of one trial.

    Args:
        folder: of this trial alone.
        check: raises when the trial is no longer ours to write.
    """

    def __init__(self, folder: Path, check: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self.check = check
        self.last, self.previous = folder / "last.ckpt", folder / "previous.ckpt"

    def save(self, state: State) -> None:
        """Write a checkpoint; the one before stays until the next."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        self.check()
        if self.last.is_file():
            self.last.replace(self.previous)
        write_atomic(self.last, hashlib.sha256(content).digest() + content)

    def load(self, written_by: str) -> State | None:
        """The newest whole checkpoint with this `written_by`; None where there is none."""
        for path in (self.last, self.previous):
            with contextlib.suppress(OSError):
                content = path.read_bytes()
                if hashlib.sha256(content[DIGEST_BYTES:]).digest() == content[:DIGEST_BYTES]:
                    state: State = torch.load(io.BytesIO(content[DIGEST_BYTES:]), weights_only=True)
                    if state.get("written_by") == written_by:
                        return state
        return None

    def remove(self) -> None:
        """The trial has its record."""
        shutil.rmtree(self.folder, ignore_errors=True)


def random_state() -> State:
    """Where every generator stands that a model or method may draw from."""
    kind, keys, position, has_gauss, cached = np.random.get_state()
    version, words, gauss = random.getstate()
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, torch.from_numpy(np.asarray(keys, np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: State) -> None:
    """Undo what was drawn since `random_state`."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
