"""Files in a results folder that no record needs."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.records.lease import alive
from benchmark.records.store import (
    CACHE,
    CHOICE_TRIALS,
    LEASES,
    PREDICTIONS,
    RESUME,
    SCRATCH,
    TRIALS,
    WEIGHTS,
    ResultStore,
)
from benchmark.units import plural

logger = logging.getLogger(__name__)

# Earlier versions of the suite used other names for the folders of resume states and leases.
RESUME_FOLDERS = (RESUME, "checkpoints")
LEASE_FOLDERS = (LEASES, "claims")


@dataclass(frozen=True)
class Leftover:
    """A file or folder that no record needs.

    Attributes:
        path: the file or folder.
        size: size in bytes.
        reason: why it is not needed.
    """

    path: Path
    size: int
    reason: str

    def remove(self) -> None:
        """Delete it, and its parent folder if that is empty then."""
        if self.path.is_dir():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)
        logger.debug("removed %s: %s", self.path, self.reason)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()


def find_leftovers(store: ResultStore) -> list[Leftover]:
    """Return everything that can be removed; resume states and failed attempts of unfinished trials are kept.

    Raises:
        BenchmarkError: not a results folder, or trials are running in it, whose files look like leftovers.
    """
    store.require()
    if running := sum(alive(path) for path in _leases(store)):
        raise BenchmarkError(f"{store.folder}: running here: {plural(running, 'trial')}; clean when nothing is running")
    leftovers = [Leftover(path, _size(path), reason) for path, reason in _candidates(store)]
    logger.info("%s: %d leftovers", store.folder, len(leftovers))
    return leftovers


def _candidates(store: ResultStore) -> Iterator[tuple[Path, str]]:
    """Yield paths with the reason why they are not needed."""
    folder, finished = store.folder, set(store.finished())
    yield from _resume_states(store, finished)
    for path in store.attempts():
        if path.stem.rpartition("-")[0] in finished:
            yield path, "failed attempt of a finished trial"
    for suffix, content in ((PREDICTIONS, "predictions"), (WEIGHTS, "weights")):
        paths = [path for kind in (TRIALS, CHOICE_TRIALS) for path in sorted((folder / kind).rglob(f"*{suffix}"))]
        for path in paths:
            if not path.with_suffix(".json").is_file():
                yield path, f"{content} without a record"
    for path in _leases(store):
        yield path, "lease of a dead run"
    for path in sorted((folder / SCRATCH).glob("*")):
        yield path, "temporary files of a dead run"
    for path in sorted((folder / CACHE).glob("*.json")):
        yield path, "computed again by the next report"
    for path in [*sorted(folder.glob(".stop-*")), *sorted(folder.rglob(".*.tmp"))]:
        yield path, "left by a killed process"


def _resume_states(store: ResultStore, finished: set[str]) -> Iterator[tuple[Path, str]]:
    submitted = {request.id for request in store.submitted()}
    for name in RESUME_FOLDERS:
        for path in sorted((store.folder / name).glob("*")):
            if path.name in finished:
                yield path, "resume state of a finished trial"
            elif path.name not in submitted:
                yield path, "resume state of a trial that was not submitted"


def _leases(store: ResultStore) -> list[Path]:
    return [path for name in LEASE_FOLDERS for path in sorted((store.folder / name).glob("*.json"))]


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
