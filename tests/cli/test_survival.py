"""Runs that are killed, stopped, started twice, split into shards, or out of time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.chaos import GRID, chaos, content, start
from tests.conftest import Cli


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve trials of a few seconds."""
    path = tmp_path_factory.mktemp("grid") / "short.yaml"
    path.write_text(GRID.format(seeds=[0], epochs=12))
    return path


def records(out: Path) -> dict[str, dict]:
    return {path.name: content(path) for path in (out / "trials").rglob("*.json")}


def test_a_few_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    """The short form of `python tests/chaos.py`."""
    found = chaos(tmp_path, kills=4, seeds=1, epochs=12, seed=1, gap=(0.2, 3.0))
    assert found["differences"] == []
    assert found["finished and run again"] == []
    assert found["left behind"] == []
    assert sum(found["kills"].values()) >= 2


def test_two_runs_share_a_folder(tmp_path: Path) -> None:
    out, grid = tmp_path / "out", tmp_path / "shorter.yaml"
    grid.write_text(GRID.format(seeds=[0], epochs=4))
    start(grid, out, tmp_path / "make-audio.txt").wait()
    expected = records(out)
    for path in (out / "trials").rglob("*.*"):
        if path.is_file():
            path.unlink()
    runs = [start(grid, out, tmp_path / f"{name}.txt") for name in ("one", "two")]
    assert [run.wait(timeout=240) for run in runs] == [0, 0]
    assert records(out) == expected
    text = (tmp_path / "one.txt").read_text() + (tmp_path / "two.txt").read_text()
    assert "failed" not in text.replace("0 failed", "")
    assert not [path for path in out.rglob("*") if path.name in {"leases", "resume", ".tune"}]


def test_after_one_signal_a_run_stops_after_its_epochs_and_is_continued(grid: Path, cli: Cli, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log.txt"
    run = start(grid, out, log)
    deadline = time.monotonic() + 120
    while not list((out / "resume").glob("*/last.state")) and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=60) == 130
    text = log.read_text()
    assert "Stopping after the current epochs. Press Ctrl-C again to stop now." in text
    assert "interrupted: " in text
    assert "Traceback" not in text
    assert list((out / "resume").glob("*/last.state"))
    assert not list(out.rglob(".stop-*"))
    done = cli("run", "--no-report", "--grid", grid, "--results", out)
    assert done.returncode == 0, done.stdout + done.stderr
    resumed = [json.loads(path.read_text())["profile"]["resumed_epochs"] for path in (out / "trials").rglob("*.json")]
    assert len(resumed) == 12
    assert max(resumed) > 0


def test_a_trial_that_takes_too_long_is_ended_once(grid: Path, cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [
        "run",
        "--no-report",
        "--grid",
        grid,
        "--results",
        out,
        "--method",
        "linear",
        "--backbone",
        "ast",
        "--fold",
        "1",
    ]
    done = cli(*arguments, "--set", "recipe.epochs=100000", "--timeout", "6")
    assert done.returncode == 3, done.stdout + done.stderr
    attempts = [json.loads(path.read_text()) for path in (out / "attempts").iterdir()]
    assert [(attempt["status"], attempt["error"]) for attempt in attempts] == [("timeout", "took longer than 6 s")]


def test_shards_are_disjoint_and_make_the_whole(grid: Path, cli: Cli, tmp_path: Path) -> None:
    def ids(*more: str) -> list[str]:
        cli("data", "synthesize", "esc50", "--data-root", tmp_path, "--classes", "2", "--clips-per-class", "1")
        planned = cli("plan", "--grid", "quick", "--data-root", tmp_path, "--results", tmp_path / "o", "--json", *more)
        return [trial["id"] for trial in json.loads(planned.stdout)["trials"]]

    parts = [ids("--shard", f"{number}/3") for number in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == sorted(ids())
    assert all(parts)
    for wrong in ("0/3", "4/3", "1", "a/b"):
        refused = cli("plan", "--grid", "quick", "--data-root", tmp_path, "--shard", wrong)
        assert (refused.returncode, refused.stderr) == (
            2, f"error: --shard {wrong}: expected I/N with I from 1 to N, such as 2/8\n",
        )  # fmt: skip


def test_when_rays_daemon_dies_the_run_starts_again(grid: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log.txt"
    run = start(grid, out, log)
    deadline = time.monotonic() + 120
    while not list(out.rglob("f*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    [daemon] = [each for each in psutil.Process(run.pid).children(recursive=True) if each.name() == "raylet"]
    os.kill(daemon.pid, signal.SIGKILL)
    assert run.wait(timeout=240) == 0, log.read_text()
    assert "Ray died; starting again with what is left" in log.read_text()
    assert len(records(out)) == 12


def test_a_folder_that_cannot_be_written_is_reported_before_anything_runs(grid: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    command = [sys.executable, "-m", "benchmark", "run", "--grid", grid, "--results", tmp_path / "out" / "deeper"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr
