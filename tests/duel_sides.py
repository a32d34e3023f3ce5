"""The two processes of a duel: each takes its turn when it is asked for, and answers with what the turn gave."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

ADAPTERS = {  # the official option --finetune
    "full": [], "linear": ["head"], "partial": ["partial"], "prompt": ["prompt"], "aat_m": ["mlp"],
    "aat_ms": ["mlp", "spatial"], "aat_m+prompt": ["mlp", "prompt"], "aat_ms+prompt": ["mlp", "spatial", "prompt"],
}  # fmt: skip
READY = "ready"


@dataclass(frozen=True)
class Case:
    """One comparison: batches of `clips` clips of `frames` frames on `device`."""

    method: str
    frames: int
    clips: int
    size: str
    device: str
    threads: int
    compiled: bool

    def official_arguments(self, classes: int) -> dict[str, Any]:
        """Arguments of the official model."""
        return {
            "label_dim": classes, "fstride": 10, "tstride": 10, "input_fdim": 128, "input_tdim": self.frames,
            "imagenet_pretrain": False, "audioset_pretrain": False, "model_size": self.size,
            "adapter": ADAPTERS[self.method],
        }  # fmt: skip


def find_official(folder: Path, timm: Path) -> None:
    """Let this process import the official code."""
    sys.path[:0] = [str(timm), str(folder / "src")]
    sys.modules["wget"] = types.ModuleType("wget")  # only downloads weights
    warnings.simplefilter("ignore")


def answers() -> TextIO:
    """Return where a side answers. Its stdout becomes its stderr: what the official code prints is no answer."""
    stream = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return stream


class Side:
    """One implementation in its process.

    Args:
        side: `official` or `ours`.
        case: what it does, a dataclass.
        options: of the command line.
        more: further options for the process.

    Attributes:
        turns: its answers.
    """

    def __init__(self, side: str, case: Any, options: argparse.Namespace, *more: str) -> None:
        command = [sys.executable, str(Path(__file__).with_name("duel.py")), str(options.folder)]
        command += ["--timm", str(options.timm), "--side", side, "--case", json.dumps(asdict(case)), *more]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.turns: list[dict[str, Any]] = []

    def wait(self) -> None:
        """Wait until it is warm."""
        if self._answer() != READY:
            raise SystemExit("one side ended; its error is above")

    def take_turn(self) -> None:
        """Let it take a turn."""
        assert self._process.stdin
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.turns.append(json.loads(self._answer() or "null"))
        if self.turns[-1] is None:
            raise SystemExit("one side ended; its error is above")

    def end(self) -> str:
        """End it, and return its last line."""
        assert self._process.stdin
        self._process.stdin.close()
        last = self._answer()
        self._process.wait()
        return last

    def kill(self) -> None:
        """End it whatever it does."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@contextmanager
def both_sides(case: Any, options: argparse.Namespace, *more: str) -> Iterator[tuple[Side, Side]]:
    """Start the official side and ours, and end them."""
    sides = Side("official", case, options, *more), Side("ours", case, options, *more)
    try:
        for side in sides:
            side.wait()
        yield sides
    finally:
        for side in sides:
            side.kill()


def alternate(sides: tuple[Side, Side], turns: int) -> None:
    """Let both sides take turns, each as often first as the other."""
    for number in range(turns):
        for side in sides if number % 2 else sides[::-1]:
            side.take_turn()
