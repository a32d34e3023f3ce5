"""Kill a run at random moments and compare its results with those of an undisturbed run.

    python tests/chaos.py --kills 50

Drivers, workers and Ray's own daemons are killed (SIGKILL) while a grid of short trials runs. After the last kill the
run ends by itself. Prints counts as JSON; the exit code is 1 when a result is lost, changed or computed twice, or when
a run that was not killed itself ended with an error. What such a run printed is shown then.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

RESUME = "resume"  # folder of resume states
GRID = """
description: short trials to be killed
backbones: ["ast[size=demo;weights=random:0]", "ssast[size=demo;weights=random:0]"]
datasets: [esc50]
methods: [linear, aat_m, aat_ms+prompt]
folds: [1, 2]
seeds: {seeds}
recipe: {{epochs: {epochs}, batch_size: 4, frames: 128, time_mask: 24, stride: [16, 16], lr: 1.0e-3}}
synthesize: {{classes: 4, clips_per_class: 1}}
"""
SAVING_OFTEN = "import benchmark.spec.options as o; o.RESUME_SECONDS = 0.0; from benchmark.cli.main import main; main()"
TIMES = {"profile", "started", "finished", "environment", "environment_hash"}
FAULTS = ("ended with an error", "differences", "finished and run again", "left behind")  # each should be empty
EXPECTED_CODES = (0, 3, -signal.SIGKILL)  # 3: a trial was killed as often as it is attempted; the next run goes on
# In the half second in which a process connects to its raylet, Ray itself ends the process when the raylet dies.
ENDED_BY_RAY = "core_worker_process.cc"
VICTIMS = ("driver", "worker", "worker", "worker", "raylet")  # workers more often: there are more of them


def start(grid: Path, out: Path, log: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start the command under test, whose trials save resume state after every epoch; its output is added to `log`."""
    command = [sys.executable, "-c", SAVING_OFTEN, "run", "--grid", str(grid), "--results", str(out)]
    command += options or ["--no-report"]
    handle = log.open("ab")
    env = {**os.environ, "AAT_BENCHMARK_CACHE": str(out.parent / "cache")}
    return subprocess.Popen(command, stdout=handle, stderr=handle, env=env)


def content(path: Path) -> dict[str, Any]:
    """Return the content of a record without times and environment."""
    record = {key: value for key, value in json.loads(path.read_text()).items() if key not in TIMES}
    for epoch in record["curves"]:
        del epoch["seconds"]
    return record


def differences(out: Path, expected: Path) -> list[str]:
    """Return the records and predictions that differ from those of the undisturbed run."""
    found = []
    for path in sorted((expected / "trials").rglob("*.json")):
        other = out / path.relative_to(expected)
        if not other.is_file():
            found.append(f"{other.name}: missing")
        elif content(other) != content(path):
            found.append(f"{other.name}: another record")
        else:
            with np.load(path.with_suffix(".npz")) as one, np.load(other.with_suffix(".npz")) as two:
                if set(one) != set(two) or not all(
                    np.array_equal(one[key], two[key], equal_nan=one[key].dtype.kind == "f") for key in one
                ):
                    found.append(f"{other.name}: other predictions")
    return found


def victims(driver: psutil.Process, kind: str) -> list[psutil.Process]:
    """Return the running processes of a kind; a worker is a process that has a trial."""
    if kind == "driver":
        return [driver]
    children = driver.children(recursive=True)
    if kind == "raylet":
        return [child for child in children if child.name() == "raylet"]
    return [child for child in children if child.name().startswith("ray::ImplicitFunc")]


def leftovers(out: Path) -> list[str]:
    """Return files that a finished run should not leave."""
    names = {"leases", RESUME, ".tune"}
    return [str(path) for path in out.rglob("*") if path.name.endswith(".tmp") or path.name in names]


def chaos(
    grid: Path, calm: Path, folder: Path, kinds: Sequence[str], seed: int, gap: tuple[float, float]
) -> dict[str, Any]:
    """Run a grid with kills, and compare the results with those of an undisturbed run.

    Args:
        grid: the grid's file.
        calm: results of the undisturbed run.
        folder: an empty folder; the output of the disturbed runs is its `log.txt`, with the exit code of each.
        kinds: what to kill, in this order.
        seed: seed of the moments.
        gap: shortest and longest time between kills in seconds.
    """
    rng, out, log = random.Random(seed), folder / "out", folder / "log.txt"
    trials = len(list((calm / "trials").rglob("*.json")))
    finished: dict[Path, int] = {}
    rewritten: list[str] = []
    hit: Counter[str] = Counter()
    codes, errors = list[int](), list[int]()
    began = time.monotonic()
    driver: subprocess.Popen[bytes] | None = None

    def ended(driver: subprocess.Popen[bytes]) -> None:
        codes.append(driver.wait())
        printed = log.read_text().rpartition("--- run ")[2]
        if codes[-1] not in EXPECTED_CODES and not (codes[-1] == 1 and ENDED_BY_RAY in printed):
            errors.append(codes[-1])
        with log.open("a") as handle:
            handle.write(f"--- run {len(codes)} ended with {codes[-1]}\n")

    def look() -> None:
        for path in (out / "trials").rglob("*.json"):
            changed = path.stat().st_mtime_ns
            if finished.setdefault(path, changed) != changed:
                rewritten.append(path.name)

    left = list(kinds)
    while left:
        if driver is not None and driver.poll() is not None:
            ended(driver)
            driver = None
        if driver is None:
            if len(finished) >= trials:
                break  # nothing is left to kill
            driver = start(grid, out, log)
            process = psutil.Process(driver.pid)
            while driver.poll() is None and not victims(process, "worker"):
                time.sleep(0.1)
        time.sleep(rng.uniform(*gap))
        look()
        kind = left[0]
        try:
            targets = victims(process, kind)
            if targets and driver.poll() is None:
                os.kill(rng.choice(targets).pid, signal.SIGKILL)
                hit[left.pop(0)] += 1
        except (psutil.Error, ProcessLookupError):
            continue
        if kind == "driver":
            driver.wait()
    if driver is not None:
        ended(driver)
    for _ in range(3):
        if codes[-1:] != [0]:
            ended(start(grid, out, log))
    look()
    return {
        "trials": trials,
        "kills": dict(hit),
        "runs": len(codes),
        "seconds": round(time.monotonic() - began),
        "exit codes": codes,
        "ended with an error": errors,
        "differences": differences(out, calm),
        "finished and run again": rewritten,
        "left behind": leftovers(out),
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=4, help="number of seeds of the grid, 12 trials each")
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0, help="seed of moments and victims")
    parser.add_argument("--gap", type=float, nargs=2, default=(0.2, 6.0), metavar=("FROM", "TO"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, kinds = Path(name), random.Random(given.seed).choices(VICTIMS, k=given.kills)
        grid, calm = folder / "chaos.yaml", folder / "calm"
        grid.write_text(GRID.format(seeds=list(range(given.seeds)), epochs=given.epochs))
        if start(grid, calm, folder / "calm.txt").wait() != 0:
            raise SystemExit((folder / "calm.txt").read_text())
        found = chaos(grid, calm, folder, kinds, given.seed, tuple(given.gap))
        print(json.dumps(found, indent=1))
        broken = [key for key in FAULTS if found[key]]
        if broken:
            print((folder / "log.txt").read_text(), file=sys.stderr)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
