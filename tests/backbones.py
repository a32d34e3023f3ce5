"""Measure what the demo backbones gain over random weights, and over a regression without a backbone.

    python tests/backbones.py tasks --results OUT        pre-trained against random weights on the demo's tasks, twice
    python tests/backbones.py real DIR --results OUT     the same on real recordings under DIR, and against the floors
    python tests/backbones.py recreate --results OUT     pre-train both again as they were made, and compare

DIR holds any of ESC-50-master, UrbanSound8K, speech_commands_v0.01 and words, an own folder; each may be a part of the
dataset. All use the backbones' own recipes. Each prints its numbers as a table, and ends with exit code 1 if a
requirement is not met.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

import benchmark
from benchmark.data.registry import get_dataset
from benchmark.models.checkpoint import read_checkpoint
from benchmark.models.weights import OWN_FOLDER
from benchmark.records.floor import REGRESSION, read_floors
from benchmark.records.store import ResultStore

BACKBONES = ("ast-demo", "ssast-demo")
RANDOM = "{}[weights=random:0]"
LINEAR_POINTS, LINEAR_TASKS, ADAPTER_TASKS = 15, 4, 5
SAME_LOSS = 0.05
REAL = {
    "esc50": "ESC-50-master",
    "urbansound8k": "UrbanSound8K",
    "speech_commands_v1": "speech_commands_v0.01",
    "folder:words": "words",
}
HARD = ["urbansound8k", "folder:words"]
REAL_POINTS, REAL_TASKS = 10, 3


def call(*arguments: object) -> None:
    """Run a command of the suite and show its progress."""
    subprocess.run([sys.executable, "-m", "benchmark", *map(str, arguments)], check=True, stdout=sys.stderr)


def scores(folder: Path) -> pd.DataFrame:
    """Return scores in per cent: one row per backbone and method, one column per dataset; mean and std over folds."""
    frame = benchmark.load_results(folder).assign(score=lambda rows: 100 * rows["score"])
    keys = {"index": ["backbone", "method"], "columns": "dataset", "values": "score"}
    return frame.pivot_table(**keys, aggfunc=["mean", "std"] if frame["fold"].nunique() > 1 else "mean")


def curves(folder: Path) -> dict[str, object]:
    """Return every metric of every epoch, by trial."""
    return {
        record.id: [(point.train_loss, point.splits) for point in record.curves]
        for record in ResultStore(folder).records()
    }


def tasks(results: Path) -> bool:
    """Return whether pre-training helps on the demo's tasks, and two runs have the same numbers."""
    chosen = [*BACKBONES, *(RANDOM.format(name) for name in BACKBONES)]
    options = ["--grid", "demo", "--backbone", ",".join(chosen), "--method", "linear,aat_ms", "--no-report"]
    for place in ("once", "again"):
        call("run", *options, "--results", results / place)
    table = scores(results / "once")
    print(table.round(1).to_string())
    good = True
    for name in BACKBONES:
        for method, points, wanted in (("linear", LINEAR_POINTS, LINEAR_TASKS), ("aat_ms", 0, ADAPTER_TASKS)):
            gain = table.loc[name, method] - table.loc[RANDOM.format(name), method]
            reached = int((gain >= points if points else gain > 0).sum())
            good &= reached >= wanted
            least = points or "more than 0"
            print(f"{name} {method}: {reached} of {len(gain)} tasks gain {least} points; wanted {wanted}")
    equal = curves(results / "once") == curves(results / "again")
    print(f"two runs give equal metrics: {equal}")
    return good and equal


def real(results: Path, data_root: Path) -> bool:
    """Return whether the backbones reach what is asked of them on real recordings."""
    chosen = [*BACKBONES, *(RANDOM.format(name) for name in BACKBONES)]
    for dataset in available(data_root):
        folds = get_dataset(dataset).manifest(data_root).folds
        call(
            "run", "--grid", "quick", "--dataset", dataset, "--data-root", data_root, "--protocol", "corrected",
            *(["--fold", ",".join(map(str, folds))] if folds != (0,) else []),
            "--backbone", ",".join(chosen), "--method", "linear,aat_ms,full", "--results", results, "--no-report",
        )  # fmt: skip
    call("floor", "--results", results, "--data-root", data_root)
    table = scores(results)
    means = table["mean"] if "mean" in table.columns.get_level_values(0) else table
    floors = pd.Series({
        name: 100 * sum(floor.scores[REGRESSION] for floor in found) / len(found)
        for name in means.columns
        if (found := [floor for floor in read_floors(results).values() if floor.settings["dataset"] == name])
    })  # fmt: skip
    print(table.round(1).to_string(), f"\nregression on log-mel statistics:\n{floors.round(1).to_string()}")
    good = True
    for name in BACKBONES:
        above = means.loc[name, "linear"] > floors
        good &= say_reached(f"{name} linear: above the floor", above, REAL_TASKS)
        behind = means.loc[name, "linear"] - means.loc[RANDOM.format(name), "linear"] >= REAL_POINTS
        good &= say_reached(f"{name} linear: {REAL_POINTS} points above random weights", behind, REAL_TASKS)
    for method in ("aat_ms", "full"):
        gain = means.xs(method, level="method").loc[list(BACKBONES)].max() - floors
        hard = gain[[name for name in HARD if name in gain]] >= REAL_POINTS
        good &= say_reached(f"{method} of one backbone: {REAL_POINTS} points above the floor", hard, len(hard))
    return good


def say_reached(what: str, reached: pd.Series, wanted: int) -> bool:
    """Print on which datasets something was reached, and return whether on enough of them."""
    names = ", ".join(reached[reached].index) or "none"
    print(f"{what}: {int(reached.sum())} of {len(reached)} ({names}); wanted {min(wanted, len(reached))}")
    return int(reached.sum()) >= min(wanted, len(reached))


def available(data_root: Path) -> list[str]:
    """Return the datasets of `REAL` that are there."""
    return [name for name, folder in REAL.items() if (data_root / folder).is_dir()]


def recreate(results: Path) -> bool:
    """Return whether the commands that created the demo backbones create them again."""
    commands = [
        shlex.split(line.split("benchmark ", 1)[1].replace("DIR", str(results)))
        for line in (OWN_FOLDER / "README.md").read_text().splitlines()
        if line.startswith("python -m benchmark")
    ]
    for command in commands:
        call(*command)
    good = True
    for name in BACKBONES:
        old, new = (json.loads((folder / f"{name}.json").read_text()) for folder in (OWN_FOLDER, results))
        losses = [report["final"]["held_out_loss"] for report in (old, new)]
        tensors = [read_checkpoint(folder / f"{name}.safetensors").tensors for folder in (OWN_FOLDER, results)]
        largest = max(float((tensors[0][key] - tensors[1][key]).abs().max()) for key in tensors[0])
        good &= abs(losses[1] / losses[0] - 1) < SAME_LOSS
        print(
            f"{name}: equal files: {old['sha256'] == new['sha256']}; held-out loss {losses[0]:.4f}, now {losses[1]:.4f}"
        )
        print(f"{name}: largest difference of a weight {largest:.2g}")
    return good


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tasks", "real", "recreate"])
    parser.add_argument("data_root", type=Path, nargs="?")
    parser.add_argument("--results", type=Path, required=True)
    given = parser.parse_args(arguments)
    torch.set_grad_enabled(False)
    if given.what == "real":
        if given.data_root is None or not available(given.data_root):
            parser.error(f"real needs a folder that holds any of {', '.join(REAL.values())}")
        return int(not real(given.results, given.data_root))
    return int(not (tasks if given.what == "tasks" else recreate)(given.results))


if __name__ == "__main__":
    sys.exit(main())
