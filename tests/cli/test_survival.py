"""Runs that are killed, stopped, started twice, split into shards, or out of time."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.chaos import FAULTS, chaos, differences, leftovers, start
from tests.cli.conftest import Calm
from tests.conftest import Cli

pytestmark = pytest.mark.ray


@pytest.mark.slow
def test_a_few_kills_lose_nothing_and_repeat_nothing(calm: Calm, tmp_path: Path) -> None:
    """The short form of `python tests/chaos.py`: a worker, the run itself and a daemon of Ray are killed."""
    found = chaos(calm.grid, calm.results, tmp_path, ("worker", "driver", "raylet"), seed=1, gap=(0.2, 1.0))
    assert found["kills"] == {"worker": 1, "raylet": 1, "driver": 1}
    assert {fault: found[fault] for fault in FAULTS} == {fault: [] for fault in FAULTS}
    text = (tmp_path / "log.txt").read_text()
    assert "Ray died" in text
    assert "Starting again with what is left, attempt 2 of 21" in text


@pytest.mark.slow
def test_two_runs_share_a_folder(calm: Calm, ray_cli: Cli, tmp_path: Path) -> None:
    """One in a process of its own, the other in this process, which begins when the first one trains."""
    out, log = tmp_path / "out", tmp_path / "log.txt"
    run = start(calm.grid, out, log, "--no-report", "--cpus", "1")
    deadline = time.monotonic() + 120
    while not list(out.glob("leases/*")) and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    other = ray_cli("run", "--no-report", "--grid", calm.grid, "--results", out)
    assert (run.wait(timeout=240), other.returncode) == (0, 0), log.read_text() + other.stdout
    assert differences(out, calm.results) == []
    assert "failed" not in (log.read_text() + other.stdout).replace("0 failed", "")
    assert leftovers(out) == []


def test_after_a_signal_a_run_stops_after_its_epochs_and_is_continued(
    short_grid: Path, cli: Cli, tmp_path: Path
) -> None:
    out, log = tmp_path / "out", tmp_path / "log.txt"
    longer = ["--cpus", "1", "--method", "linear", "--set", "recipe.epochs=40"]
    run = start(short_grid, out, log, *longer)
    deadline = time.monotonic() + 120
    done, begun = set[str](), set[str]()
    while not (done and begun - done) and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
        begun = {path.parent.name for path in out.glob("resume/*/last.state")}
        done = {path.stem.rpartition("-")[2] for path in (out / "trials").rglob("*.json")}
    run.terminate()
    assert run.wait(timeout=60) == 130
    text = log.read_text()
    assert "Stopping after the current epochs. Press Ctrl-C again to stop now." in text
    assert "\ninterrupted: " in text
    assert "Traceback" not in text
    assert (out / "report" / "results.md").is_file()
    assert list((out / "resume").glob("*/last.state"))
    assert not list(out.rglob(".stop-*"))
    again = cli("run", "--no-report", "--grid", short_grid, "--results", out, *longer)
    assert again.returncode == 0, again.stdout + again.stderr
    resumed = [json.loads(path.read_text())["profile"]["resumed_epochs"] for path in (out / "trials").rglob("*.json")]
    assert len(resumed) == 4
    assert max(resumed) > 0


@pytest.mark.slow
def test_a_trial_that_takes_too_long_is_ended_once(short_grid: Path, ray_cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = ray_cli(
        "run", "--no-report", "--grid", short_grid, "--results", out, "--method", "linear", "--backbone", "ast",
        "--fold", "1", "--set", "recipe.epochs=100000", "--timeout", "4",
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    attempts = [json.loads(path.read_text()) for path in (out / "attempts").iterdir()]
    assert [(attempt["status"], attempt["error"]) for attempt in attempts] == [("timeout", "took longer than 4 s")]


def test_shards_are_disjoint_and_make_the_whole(cli: Cli, tmp_path: Path) -> None:
    def ids(*more: str) -> list[str]:
        cli("data", "synthesize", "esc50", "--data-root", tmp_path, "--classes", "2", "--clips-per-class", "1")
        planned = cli(
            "plan", "--grid", "quick", "--fold", "1,2,3,4,5", "--data-root", tmp_path, "--results", tmp_path / "o",
            "--json", *more,
        )  # fmt: skip
        return [trial["id"] for trial in json.loads(planned.stdout)["trials"]]

    parts = [ids("--shard", f"{number}/3") for number in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == sorted(ids())
    assert all(parts)
    for wrong in ("0/3", "4/3", "1", "a/b"):
        refused = cli("plan", "--grid", "quick", "--data-root", tmp_path, "--shard", wrong)
        assert (refused.returncode, refused.stderr) == (
            2, f"error: --shard {wrong}: expected I/N with I from 1 to N, such as 2/8\n",
        )  # fmt: skip


def test_a_folder_that_cannot_be_written_is_reported_before_anything_runs(
    short_grid: Path, cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    done = cli("run", "--grid", short_grid, "--results", tmp_path / "out" / "deeper")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr
