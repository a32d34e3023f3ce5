"""A grid of short trials and its results, for tests that disturb a run."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos import GRID
from tests.conftest import Cli


@dataclass(frozen=True)
class Calm:
    """An undisturbed run.

    Attributes:
        grid: file of the grid, twelve trials of a second or two.
        results: its results.
    """

    grid: Path
    results: Path


@pytest.fixture
def short_grid(tmp_path: Path) -> Path:
    """Return the file of the grid of `calm`, for tests that do not look at the undisturbed run."""
    path = tmp_path / "short.yaml"
    path.write_text(GRID.format(seeds=[0], epochs=8))
    return path


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory, ray_cli: Cli) -> Calm:
    """Return an undisturbed run. All test processes share it: the first one that needs it makes it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = Calm(shared / "short.yaml", shared / "calm")
    with (shared / "calm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.grid.exists():
            draft = made.grid.with_suffix(".draft.yaml")
            draft.write_text(GRID.format(seeds=[0], epochs=8))
            done = ray_cli("run", "--no-report", "--grid", draft, "--results", made.results)
            assert done.returncode == 0, done.stdout + done.stderr
            draft.rename(made.grid)
    return made
