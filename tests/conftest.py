"""Shared fixtures: the command line in this process, one Ray, small data, small requests."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import os
import secrets
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

# Tests run side by side on few cores; libraries and Ray read these variables when they are imported.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_memory_monitor_refresh_ms"] = "0"  # noqa: SIM112 - as Ray spells it
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

import pytest
from rich.console import Console

from benchmark import places
from benchmark.cli import main as command_line
from benchmark.console import say
from benchmark.data.registry import get_dataset
from benchmark.orchestrator.run import Ended
from benchmark.orchestrator.worker_config import run_setting
from benchmark.planning.estimate import Estimate
from benchmark.planning.expand import expand
from benchmark.records.store import ResultStore
from benchmark.spec.grid import Grid
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.run import attempt_trial

REPOSITORY = Path(__file__).parent.parent
ESC10 = REPOSITORY.parent / "shared" / "data" / "esc10"
AST, SSAST = "ast[size=demo;weights=random:0]", "ssast[size=demo;weights=random:0]"
TINY_RECIPE = {"epochs": 2, "batch_size": 8, "frames": 64, "time_mask": 12, "stride": [16, 16], "lr": 1e-3}

CORES = 1  # of the tests' Ray: every worker process takes seconds to import its libraries

Cli = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that start Ray first: they take long and wait much, and one test process has them, with one Ray.

    A test process without work takes some from the end of the other's.
    """
    items.sort(key=lambda item: (item.get_closest_marker("ray") is None, "cli/test_survival" not in item.nodeid))


@pytest.fixture(autouse=True)
def _the_tests_are_not_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget that some modules of the tests define methods: errors would name their place by the order of tests."""
    monkeypatch.setattr(places, "_packages", places._packages - {"tests"})


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return environment variables of the command line: plain wide output, an audio cache of its own."""
    return {"COLUMNS": "200", "NO_COLOR": "1", "AAT_BENCHMARK_CACHE": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="session")
def ray_here() -> Iterator[Callable[[], None]]:
    """Return a function that starts Ray in this process, once. Runs use it and leave it running."""
    import ray

    from benchmark.orchestrator.ray_session import ray_session

    with ExitStack() as stack:

        def start() -> None:
            if not ray.is_initialized():
                stack.enter_context(ray_session(None, CORES, 0, Path(os.devnull)))

        yield start


@contextmanager
def as_in_a_process(folder: Path, environment: dict[str, str], argv: list[str]) -> Iterator[tuple[io.StringIO, ...]]:
    """Give the command line what a new process has, and put back what it changes. Yield its stdout and stderr."""
    logger, streams = logging.getLogger("benchmark"), (io.StringIO(), io.StringIO())
    before = (list(logger.handlers), logger.level, logger.propagate)
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", argv),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")
        for ignored in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", ignored)
        try:
            yield streams
        finally:
            logger.handlers[:], logger.level, logger.propagate = before
            logging.Logger.manager._clear_cache()


def run_trials_here(
    requests: Sequence[TrialRequest],
    estimates: Mapping[str, Estimate],
    store: ResultStore,
    options: RunOptions,
    *,
    before: int,
    console: Console,
) -> Ended:
    """Run trials one after the other in this process. Takes the arguments of `run_trials`, which uses Ray."""
    features = store.folder / "features" if options.gang else None
    setting, failed = run_setting(options, store.folder, requests, stop=store.folder / ".stop", features=features), 0
    sharers = Counter(request.batches_key for request in requests)
    for request in requests:
        cost = estimates[request.id].cost
        setting = dataclasses.replace(setting, threads=1, cost=cost, sharers=sharers[request.batches_key])
        outcome = attempt_trial(request, setting, lambda _: None)
        if outcome.error:
            failed += 1
            say(console, f"failed: {request.label}: {outcome.error}")
    return Ended(failed, interrupted=False)


def call_command_line(folder: Path, environment: dict[str, str], *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process.

    Args:
        folder: current folder.
        environment: environment variables.
        args: what the user would write.
    """
    argv, code = ["benchmark", *map(str, args)], None
    with as_in_a_process(folder, environment, argv) as (stdout, stderr):
        try:
            command_line.main()
        except SystemExit as ended:
            code = ended.code
    return subprocess.CompletedProcess(argv, int(code or 0), stdout.getvalue(), stderr.getvalue())


def without_figures(*args: str | Path) -> contextlib.AbstractContextManager[object]:
    """Let `run` draw no figures, which take most of a report's time; `report` draws them."""
    return mock.patch("benchmark.report.figures.build_figures", return_value=[]) if args[0] == "run" else nullcontext()


def without_notes(shown: str) -> str:
    """Return what a command printed without its notes on the inputs, one per line."""
    return "".join(line for line in shown.splitlines(keepends=True) if not line.startswith("note: "))


def json_of(done: subprocess.CompletedProcess[str], command: str) -> Any:
    """Return what a command printed as JSON, after a comparison with its schema.

    Args:
        done: the ended command.
        command: its name.
    """
    from benchmark.api.schemas import SCHEMAS

    assert done.returncode == 0, done.stderr
    SCHEMAS[command].model_validate_json(done.stdout)
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Cli:
    """Return a function that runs the command line in this process; `run` trains in this process, too.

    It is for tests of anything but Ray, whose worker process takes seconds to import its libraries, and figures.
    """
    folder = tmp_path_factory.mktemp("cwd")

    def call(*args: str | Path) -> subprocess.CompletedProcess[str]:
        with mock.patch("benchmark.orchestrator.run.run_trials", run_trials_here), without_figures(*args):
            return call_command_line(folder, environment, *args)

    return call


@pytest.fixture(scope="session")
def ray_cli(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], ray_here: Callable[[], None]) -> Cli:
    """Return a function that runs the command line in this process, and its trials in the one Ray of this process."""
    folder = tmp_path_factory.mktemp("cwd")

    def call(*args: str | Path, figures: bool = False) -> subprocess.CompletedProcess[str]:
        ray_here()
        with nullcontext() if figures else without_figures(*args):
            return call_command_line(folder, environment, *args)

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
