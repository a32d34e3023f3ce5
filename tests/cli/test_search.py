"""`search` from outside, on a tiny generated dataset with a backbone that comes with the suite."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import CORES, Cli

optuna = pytest.importorskip("optuna")
from benchmark.search.history import JOURNAL, Configuration, configurations, winner  # noqa: E402

pytestmark = pytest.mark.ray

SETTINGS = ["recipe.frames=64", "recipe.time_mask=12", "recipe.stride=[16,16]", "recipe.batch_size=8"]
COMMON = [
    "--backbone",
    "ast-demo",
    "--epochs",
    "2",
    *(w for s in SETTINGS for w in ("--set", s)),
]


def search(ray_cli: Cli, data_root: Path, out: Path, *more: str) -> tuple[int, str, str]:
    command = ["search", "--dataset", "esc50", "--data-root", data_root, "--results", out, *COMMON, *more]
    done = ray_cli(*command)
    return done.returncode, done.stdout, done.stderr


def rows(out: Path) -> list[Configuration]:
    """What was tried, with the scores of every epoch."""
    backend = optuna.storages.journal.JournalFileBackend(str(out / JOURNAL))
    return configurations(optuna.load_study(study_name="search", storage=optuna.storages.JournalStorage(backend)))


def tried(out: Path) -> list[dict[str, str]]:
    """The rows of search.csv, without how long they took."""
    with (out / "search.csv").open() as handle:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(handle)]


def cut(out: Path, trained: int) -> None:
    """Cut the journal off where a configuration has its first score: as if the process had been killed then."""
    lines, started = (out / JOURNAL).read_text().splitlines(keepends=True), list[int]()
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        if entry["op_code"] == 7 and entry["trial_id"] not in started:  # an intermediate value
            started.append(entry["trial_id"])
            if len(started) == trained:
                (out / JOURNAL).write_text("".join(lines[:number]))
                return
    raise AssertionError


@pytest.fixture(scope="module")
def found(ray_cli: Cli, data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("search") / "out"
    code, shown, errors = search(ray_cli, data_root, out, "--budget", "4", "--max-params", "30k", "--max-memory", "1")
    assert code == 0, shown + errors
    assert errors == ""
    return out, shown


def test_a_search_ends_with_a_front_and_a_command_that_runs(ray_cli: Cli, found: tuple[Path, str]) -> None:
    out, shown = found
    assert "validation: fold 2, held out from the training folds of test fold 1 (3 of 12 clips)" in shown
    marks = "validation data, search; demo backbone; recipe of the backbone; recipe changed ("
    assert f"Not comparable with the paper: {marks}" in shown
    assert "; synthetic audio." in shown
    files = {path.name for path in out.iterdir()}
    assert files == {JOURNAL, "search.csv", "logs", *(f"pareto-search.{e}" for e in ("png", "pdf", "svg"))}
    found_rows = rows(out)
    trained = [row for row in found_rows if row.state in {"finished", "pruned"}]
    assert len(trained) == 4
    assert all((row.trainable or 0) <= 30_000 and (row.peak_bytes or 0) <= 1e9 for row in trained)
    assert all(row.epochs == 2 for row in trained if row.state == "finished")
    infeasible = [row for row in found_rows if row.state == "infeasible"]
    assert {row.error for row in infeasible if "more than 30,000" not in (row.error or "")} == set()
    assert not any(row.epochs for row in infeasible)
    assert [row["method"] for row in tried(out)] == [row.method for row in found_rows]
    logs = [path.read_text() for path in (out / "logs" / "trials").iterdir()]
    assert len(logs) == 4
    assert all("epoch 1/2: " in log for log in logs)
    command = shlex.split(shown.splitlines()[-1])
    assert command[:4] == ["python", "-m", "benchmark", "run"]
    best = winner(found_rows)
    assert best
    assert best.method in command
    assert f"recipe.lr={best.lr:g}" in command
    planned = ray_cli("plan", *command[4:], "--results", out.parent / "winner", "--json")
    assert planned.returncode == 0, planned.stderr
    trials = json.loads(planned.stdout)["trials"]
    assert len(trials) == 15  # five folds, three seeds


def test_test_clips_do_not_matter_and_a_search_goes_on_as_an_undisturbed_one(
    ray_cli: Cli, found: tuple[Path, str], data_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(data_root, tmp_path / "data")
    spoilt = list((tmp_path / "data" / "ESC-50-master" / "audio").glob("1-*.wav"))
    assert len(spoilt) == 3
    for path in spoilt:
        path.write_bytes(b"")
    limits = ["--max-params", "30k", "--max-memory", "1"]
    code, shown, errors = search(ray_cli, tmp_path / "data", tmp_path / "out", "--budget", "2", *limits)
    assert code == 0, shown + errors
    cut(tmp_path / "out", 2)
    code, shown, errors = search(ray_cli, tmp_path / "data", tmp_path / "out", "--budget", "4", *limits)
    assert code == 0, shown + errors
    assert tried(tmp_path / "out") == tried(found[0])


def test_failures_do_not_end_a_search(ray_cli: Cli, data_root: Path, tmp_path: Path) -> None:
    diverges = ["--budget", "2", "--method", "linear", "--set", "recipe.lr=1e30"]
    code, shown, errors = search(ray_cli, data_root, tmp_path / "out", *diverges)
    assert code == 3, shown + errors
    assert shown.count("failed: linear, lr ") == 2
    assert [row["state"] for row in tried(tmp_path / "out")] == ["failed", "failed"]
    assert all("not finite" in row["error"] for row in tried(tmp_path / "out"))


DIES = """
import os
from dataclasses import dataclass

from benchmark.methods.contract import Method
from benchmark.methods.registry import register

@register("dies", label="Dies", source="none")
@dataclass(frozen=True, kw_only=True)
class Dies(Method):
    \"\"\"End the process of the training.\"\"\"

    def adapt(self, model):
        if next(model.parameters()).device.type != "meta":
            os._exit(1)
        return []
"""


def test_a_worker_that_dies_is_a_failed_configuration(ray_cli: Cli, data_root: Path, tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    method = ["--budget", "1", "--method", str(tmp_path / "dies.py")]
    code, shown, errors = search(ray_cli, data_root, tmp_path / "out", *method)
    assert code == 3, shown + errors
    assert "its process died" in shown
    assert [(row["state"], row["error"]) for row in tried(tmp_path / "out")] == [("failed", "its process died")]


LONGER = ["--budget", "2", "--method", "linear", "--epochs", "150"]  # some seconds, to be stopped in


def wait_for_a_score(out: Path, ended: Callable[[], bool]) -> bool:
    """Wait until a search has a score; return False if it ends before."""
    while not ended():
        if (out / JOURNAL).exists() and '"op_code":7' in (out / JOURNAL).read_text():
            return True
        time.sleep(0.02)
    return False


@contextmanager
def ctrl_c_at_the_first_score(out: Path) -> Iterator[None]:
    """Send this process the signal of Ctrl-C when the search that it runs has a score."""
    ended = threading.Event()

    def send() -> None:
        if wait_for_a_score(out, ended.is_set):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.slow
def test_a_stopped_search_goes_on(ray_cli: Cli, data_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ctrl_c_at_the_first_score(out):
        code, shown, errors = search(ray_cli, data_root, out, *LONGER)
    assert code == 130, shown + errors
    assert "interrupted: 0 of 2 configurations" in shown + errors
    assert [row["state"] for row in tried(out)] == ["unfinished"]
    assert not list(out.glob(".stop-*"))
    code, shown, errors = search(ray_cli, data_root, out, *LONGER)
    assert code == 0, shown + errors
    assert [row["state"] in {"finished", "pruned"} for row in tried(out)] == [True, True]


@pytest.mark.slow
def test_with_a_dead_ray_a_search_starts_again(data_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "benchmark", "search", "--dataset", "esc50", "--data-root", str(data_root)]
    command += ["--results", str(out), "--cpus", str(CORES), *COMMON, *LONGER]
    run = subprocess.Popen(
        command, env={**os.environ, "AAT_BENCHMARK_CACHE": "none"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert wait_for_a_score(out, lambda: run.poll() is not None)
    [daemon] = [child for child in psutil.Process(run.pid).children(recursive=True) if child.name() == "raylet"]
    daemon.kill()
    shown, _ = run.communicate(timeout=300)
    assert run.returncode == 0, shown
    assert "Ray died" in shown
    assert [row["state"] in {"finished", "pruned"} for row in tried(out)] == [True, True]


@pytest.mark.slow
def test_another_search_in_the_folder_is_refused(ray_cli: Cli, found: tuple[Path, str], data_root: Path) -> None:
    code, shown, errors = search(
        ray_cli, data_root, found[0], "--budget", "4", "--max-params", "40k", "--max-memory", "1"
    )
    assert code == 2, shown + errors
    assert "of another search, which differs in limits; give another --results, or remove it" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "0"], "budget 0: expected at least 1 configuration"),
        (["--budget", "1", "--max-params", "many"], "--max-params many: expected a number such as 300k"),
        (["--budget", "1", "--dataset", "esc5"], "error: --dataset: unknown dataset 'esc5' (did you mean 'esc50'?)"),
        (["--budget", "1", "--dataset", "gtzan"], "GTZAN: no folder"),
        (["--budget", "1", "--method", "linear", "--max-params", "10"], "none of 100 configurations fits; the nearest"),
    ],
)
def test_a_mistake_is_one_line(
    ray_cli: Cli, data_root: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, shown, errors = search(ray_cli, data_root, tmp_path / "out", *arguments)
    assert code == 2, shown + errors
    assert message in errors
    assert len(errors.splitlines()) == 1
