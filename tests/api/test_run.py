"""Runs from a script without an `if __name__ == "__main__"` guard, with a method class of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.test_method_names import SOURCE
from tests.conftest import AST

pytestmark = pytest.mark.ray

SCRIPT = """
import pathlib
import benchmark
from mine_of_script import Mine

with pathlib.Path("started.txt").open("a") as log:
    log.write("started\\n")
for _ in range(2):
    done = benchmark.run(
        grid="smoke", backbones={backbone!r}, methods=["linear", Mine], results={results!r}, cpus=1
    )
    print(done)
    print(done.submitted, done.counts, done.is_complete, len(done.table), benchmark.report is not None)
print(len(benchmark.load_results({results!r})))
print(benchmark.profile("smoke", backbones={backbone!r}, methods="linear", results="p", steps=1, device="cpu"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("script")
    (folder / "mine_of_script.py").write_text(SOURCE.format(name="mine_of_script"))
    return folder


RESULTS = "res #1 [v2] 100%/結果"
DISTURBING = {  # what clusters and proxies leave in the environment: none of it concerns a local run
    "RAY_ADDRESS": "10.255.255.1:6379",
    "http_proxy": "http://127.0.0.1:9",
    "OMP_NUM_THREADS": "64",
    "SLURM_CPUS_PER_TASK": "1",
}


def start(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(code)
    env = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **DISTURBING}
    return subprocess.run(
        [sys.executable, str(script)], cwd=folder, env=env, capture_output=True, text=True, timeout=500, check=False
    )


@pytest.mark.slow
def test_a_script_without_a_guard_runs_a_grid_profiles_steps_and_prints_the_results(folder: Path) -> None:
    done = start(folder, SCRIPT.format(backbone=AST, results=RESULTS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "started.txt").read_text() == "started\n"  # no child process ran the script again
    out = folder / RESULTS
    assert f"\n2 done; results in {out}\n" in done.stdout
    assert f"\nnothing to do: 2 done; results in {out}\n" in done.stdout
    assert done.stdout.count("Not comparable with the paper: random weights;") == 2
    counts = "{'done': 2, 'stale': 0, 'failed': 0, 'missing': 0}"
    assert f"2 {counts} True 5 True" in done.stdout  # the table has two methods and three floors
    assert f"0 {counts} True 5 True" in done.stdout
    assert "\n2\n" in done.stdout
    assert "s/step of" in done.stdout
    assert done.stdout.splitlines()[-1] == f"profiles: {folder / 'p' / 'profiles'}"
    assert "2/2 done, 0 failed" in done.stderr  # progress
    assert "2/2 done, 0 failed" not in done.stdout
    assert {path.parent.name for path in (out / "trials").rglob("*.json")} == {"linear", "mine_of_script"}
    assert (out / "report" / "results.md").is_file()
