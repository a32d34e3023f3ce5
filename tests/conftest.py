"""Shared fixtures: the command line as a subprocess, small data, small requests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data.registry import get_dataset
from benchmark.planning.expand import expand
from benchmark.spec.grid import Grid
from benchmark.spec.request import TrialRequest

REPOSITORY = Path(__file__).parent.parent
ESC10 = REPOSITORY.parent / "shared" / "data" / "esc10"
AST, SSAST = "ast[size=demo;weights=random:0]", "ssast[size=demo;weights=random:0]"
TINY_RECIPE = {"epochs": 2, "batch_size": 8, "frames": 64, "time_mask": 12, "stride": [16, 16], "lr": 1e-3}

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Return a function that runs `python -m benchmark ARGS` outside the repository, and returns the process."""
    folder, cache = tmp_path_factory.mktemp("cwd"), tmp_path_factory.mktemp("cache")

    def call(*args: str | Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "benchmark", *map(str, args)]
        env = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "AAT_BENCHMARK_CACHE": str(cache)}
        return subprocess.run(
            command, cwd=folder, env=env, timeout=timeout, capture_output=True, text=True, check=False
        )

    return call


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root with a small synthetic ESC-50: 3 classes, 1 clip per class and fold."""
    root = tmp_path_factory.mktemp("data")
    get_dataset("esc50").synthesize(root, classes=3, clips_per_class=1, seed=0)
    return root


@pytest.fixture(scope="session")
def esc10_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root with 400 real recordings in ESC-50's layout."""
    if not ESC10.is_dir():
        pytest.skip("the real recordings of ESC-10 are not available")
    root = tmp_path_factory.mktemp("esc10")
    command = [sys.executable, ESC10 / "make_esc50_tree.py", ESC10, root / "ESC-50-master"]
    subprocess.run(command, check=True, capture_output=True)
    return root


def tiny_grid(**changes: object) -> Grid:
    """Return a grid of one trial at demo size.

    Args:
        changes: fields of the grid.
    """
    values: dict[str, object] = {
        "name": "tiny",
        "origin": "grid 'tiny'",
        "description": "for tests",
        "backbones": [AST],
        "datasets": ["esc50"],
        "methods": ["linear"],
        "folds": [1],
        "overrides": [{"source": "test", "values": TINY_RECIPE}],
    }
    return Grid.model_validate({**values, **changes})


@pytest.fixture
def make_request(data_root: Path) -> Callable[..., TrialRequest]:
    """Return a function that makes a request on the small synthetic data; its keywords are fields of a grid."""

    def make(**changes: object) -> TrialRequest:
        return expand(tiny_grid(**changes), data_root, Path("no-checkpoints")).requests[0]

    return make
