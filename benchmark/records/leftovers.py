"""What a results folder holds that no record needs."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.records.lease import alive, leased
from benchmark.records.store import PREDICTIONS, WEIGHTS, ResultStore


@dataclass(frozen=True)
class Leftover:
    """A file or folder, its size in bytes, and why nothing needs it."""

    path: Path
    size: int
    reason: str

    def remove(self) -> None:
        """Delete it, and folders that this leaves empty."""
        if self.path.is_dir():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()


def find_leftovers(store: ResultStore) -> list[Leftover]:
    """Everything that can go; epoch checkpoints and attempts of unfinished trials stay.

    Raises:
        BenchmarkError: trials are running here, whose files cannot be told from leftovers.
    """
    store.require()
    if running := leased(store.folder):
        raise BenchmarkError(f"{store.folder}: {len(running)} trials are running here; clean when they are done")
    return [Leftover(path, _size(path), reason) for path, reason in _candidates(store)]


def _candidates(store: ResultStore) -> Iterator[tuple[Path, str]]:
    folder, finished = store.folder, set(store.finished())
    wanted = {request.id for request in store.submitted()}
    for path in sorted((folder / "checkpoints").glob("*")):
        if path.name in finished:
            yield path, "epoch checkpoint of a finished trial"
        elif path.name not in wanted:
            yield path, "epoch checkpoint of a trial that nobody asks for"
    for path in store.attempts():
        if path.stem.rpartition("-")[0] in finished:
            yield path, "failed try of a trial that is finished"
    for suffix, what in ((PREDICTIONS, "predictions"), (WEIGHTS, "weights")):
        for path in sorted((folder / "trials").rglob(f"*{suffix}")):
            if not path.with_suffix(".json").is_file():
                yield path, f"{what} without a record"
    for path in sorted((folder / "leases").glob("*.json")):
        if not alive(path):
            yield path, "lease of a dead run"
    for path in sorted((folder / ".tune").glob("*")):
        yield path, "scratch of a dead run"
    for path in [*sorted(folder.glob(".stop-*")), *sorted(folder.rglob(".*.tmp"))]:
        yield path, "left by a process that was killed"


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
