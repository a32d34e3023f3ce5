"""`new slurm`: its script is run by stand-ins of Slurm's commands, one task after the other."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from benchmark.api.new_slurm import new_slurm, seconds_of, slurm_time
from benchmark.errors import BenchmarkError
from tests.conftest import AST, REPOSITORY, TINY_RECIPE, Cli

# Runs every task of the array, and again what `scontrol requeue` was called for. Sends $SIGNAL to the first attempt of
# task 2 when it trains, as Slurm does before the time limit: to the shell of the script only.
SBATCH = """#!/bin/bash
export SLURM_ARRAY_JOB_ID=77 SLURM_ARRAY_TASK_ID SLURM_RESTART_COUNT
for SLURM_ARRAY_TASK_ID in $(seq "$(sed -n 's/^#SBATCH --array=1-//p' "$1")"); do
  SLURM_RESTART_COUNT=${FIRST_COUNT:-0}
  while rm -f queued training; do
    bash "$1" >>"log-$SLURM_ARRAY_TASK_ID" 2>&1 &
    if [ -n "$SIGNAL" ] && [ "$SLURM_ARRAY_TASK_ID" = 2 ] && [ "$SLURM_RESTART_COUNT" = "${FIRST_COUNT:-0}" ]; then
      until [ -e training ]; do sleep 0.01; done
      kill "-$SIGNAL" $!
    fi
    wait $!
    echo "$SLURM_ARRAY_TASK_ID $?" >>ended
    [ -e queued ] || break
    SLURM_RESTART_COUNT=$((SLURM_RESTART_COUNT + 1))
  done
done
"""
SCONTROL = """#!/bin/bash
[ "$*" = "requeue 77_$SLURM_ARRAY_TASK_ID" ] && [ -z "$NO_REQUEUE" ] && touch queued
"""
# Stands for Python: trains until it is asked to stop where a signal will come, else ends with $CODE.
TRAIN = """#!/bin/bash
printf '%q ' "$@" >>calls; echo >>calls
trap 'echo one epoch later; sleep 0.1; exit 130' TERM
touch training
if [ -n "$SIGNAL" ] && [ "$SLURM_ARRAY_TASK_ID" = 2 ] && [ "$SLURM_RESTART_COUNT" = "${FIRST_COUNT:-0}" ]; then
  for _ in {1..1000}; do sleep 0.01; done
fi
exit "${CODE:-0}"
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """Return a folder with stand-ins of Slurm's commands, and of Python as `train`."""
    for name, text in {"sbatch": SBATCH, "scontrol": SCONTROL, "train": TRAIN}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.fixture
def grid_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    grid = {"description": "for tests", "backbones": [AST], "datasets": ["esc50"], "methods": ["linear"]}
    path.write_text(yaml.safe_dump({**grid, "folds": [1, 2], "recipe": {**TINY_RECIPE, "epochs": 1}}))
    return path


def write(cluster: Path, grid: str | Path = "smoke", options: tuple[str, ...] = ()) -> Path:
    script = new_slurm(
        grid, shards=2, time="1h", results=cluster / "my out", gpus="0", python=str(cluster / "train"),
        path=cluster / "job.sbatch", options=options,
    )  # fmt: skip
    return script.path


def submit(cluster: Path, script: Path, **variables: str) -> list[str]:
    """Run the job array; return task and exit code of every attempt."""
    path = f"{cluster}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "SIGNAL": "", "NO_REQUEUE": "", **variables}
    subprocess.run([cluster / "sbatch", script], cwd=cluster, env=environment, check=True, timeout=60)
    return (cluster / "ended").read_text().splitlines()


def test_the_tasks_run_all_trials_of_the_grid(
    cli: Cli, cluster: Path, grid_file: Path, data_root: Path, tmp_path: Path
) -> None:
    out, job = tmp_path / "out", tmp_path / "job.sbatch"
    written = cli(
        "new", "slurm", "--grid", grid_file, "--shards", "2", "--time", "12h", "--results", out, "--out", job,
        "--data-root", data_root, "--python", cluster / "train", "--partition", "gpu", "--gpus", "a100:1",
        "--", "--set", "recipe.lr=0.01",
    )  # fmt: skip
    assert written.returncode == 0, written.stderr
    assert f"submit it:  sbatch {job}" in written.stdout
    assert "#SBATCH --gres=gpu:a100:1\n" in job.read_text()
    assert (out / "logs" / "slurm").is_dir()  # Slurm does not create it
    assert submit(cluster, job) == ["1 0", "2 0"]
    calls = [shlex.split(line) for line in (cluster / "calls").read_text().splitlines()]
    assert [call[-2:] for call in calls] == [[f"{number}/2", "--no-report"] for number in (1, 2)]
    for module, name, *arguments in calls:
        assert (module, name) == ("-m", "benchmark")
        done = cli(*arguments)
        assert done.returncode == 0, done.stderr
    assert "2 trials: 2 done" in cli("status", "--results", out).stdout


def test_the_commands_of_the_docs_write_scripts(cli: Cli, tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "how-to" / "slurm.md").read_text().replace("\\\n", " ")
    commands = [line for line in text.splitlines() if line.startswith("python -m benchmark new slurm")]
    assert len(commands) == 2
    for number, line in enumerate(commands):
        script = tmp_path / f"{number}.sbatch"
        words = [str(tmp_path / word) if word in {"OUT", "DIR"} else word for word in shlex.split(line)]
        done = cli(*words[3:5], "--out", script, *words[5:])
        assert done.returncode == 0, done.stderr
        subprocess.run(["bash", "-n", script], check=True)
    assert "python=(apptainer exec --nv --bind DIR aat.sif python)" in script.read_text()


def test_a_task_stops_gently_at_the_time_limit_and_is_queued_again(cluster: Path) -> None:
    script = write(cluster, options=("--method", "aat_ms[bottleneck=8]+prompt"))
    assert submit(cluster, script, SIGNAL="USR1") == ["1 0", "2 130", "2 0"]
    log = (cluster / "log-2").read_text().splitlines()
    assert log[:2] == ["one epoch later", "trials are left: the task is queued again"]
    assert log[-1] == "all trials of this task are finished"
    assert r"aat_ms\[bottleneck=8\]+prompt" in (cluster / "calls").read_text()  # as bash quotes it


def test_a_cancelled_task_stops_gently_and_stays_away(cluster: Path) -> None:
    assert submit(cluster, write(cluster), SIGNAL="TERM") == ["1 0", "2 130"]
    assert "one epoch later\ntrials are left; continue with: sbatch --array=2" in (cluster / "log-2").read_text()


def test_a_cluster_that_refuses_to_queue_it_again_is_reported(cluster: Path) -> None:
    assert submit(cluster, write(cluster), SIGNAL="USR1", NO_REQUEUE="1") == ["1 0", "2 130"]
    assert "continue with: sbatch --array=2" in (cluster / "log-2").read_text()


def test_a_task_does_not_come_back_for_ever(cluster: Path) -> None:
    assert submit(cluster, write(cluster), SIGNAL="USR1", FIRST_COUNT="50") == ["1 0", "2 130"]


@pytest.mark.parametrize(("code", "attempts"), [("1", 4), ("3", 1)])
def test_only_the_death_of_ray_brings_a_task_back_without_a_signal(cluster: Path, code: str, attempts: int) -> None:
    assert submit(cluster, write(cluster), CODE=code) == [f"1 {code}"] * attempts + [f"2 {code}"] * attempts


def test_bash_and_shellcheck_have_nothing_to_say(cluster: Path) -> None:
    script = write(cluster)
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time", "soon"], "error: --time soon: expected a time"),
        (["--time", "5min"], "error: --stop-before 10min: must be shorter than"),
        (["--partition", "a b"], "error: --partition 'a b': not a value that Slurm reads"),
        (["--memory", "lots"], "error: --memory 'lots'"),
        (["--python", "a 'b"], "error: --python"),
        (["--shards", "10001"], "error: --shards 10001: expected a number from 1 to 10,000"),
        (["--grid", "smok"], "did you mean 'smoke'?"),
        (["--out", "no-such-folder/job"], "error: no-such-folder: no such folder"),
        (["--out", '"'], "Slurm cannot read a path"),
        (["--", "--methodd", "linear"], "No such option: --methodd"),
        (["--", "--shard=1/2"], "error: --shard: set by the script"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(cli: Cli, tmp_path: Path, arguments: list[str], message: str) -> None:
    before = ["--grid", "smoke", "--shards", "2", "--time", "12h", "--results", str(tmp_path / "out")]
    done = cli("new", "slurm", *before, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_script_is_not_overwritten(cluster: Path) -> None:
    write(cluster)
    with pytest.raises(BenchmarkError, match="is there already"):
        write(cluster)


@pytest.mark.parametrize(
    ("text", "seconds", "slurm"),
    [
        ("12h", 43_200, "0-12:00:00"),
        ("1-00:00:00", 86_400, "1-00:00:00"),
        ("2-12", 216_000, "2-12:00:00"),
        ("1-01:30", 91_800, "1-01:30:00"),
        ("36:00:00", 129_600, "1-12:00:00"),
        ("90:30", 5_430, "0-01:30:30"),
    ],
)
def test_time_limits(text: str, seconds: int, slurm: str) -> None:
    assert seconds_of(text) == seconds
    assert slurm_time(seconds) == slurm
