"""Measure what the demo backbones gain over random weights.

    python tests/backbones.py tasks --results OUT        pre-trained against random weights on the demo's tasks, twice
    python tests/backbones.py esc10 DIR --results OUT    the same on real recordings, DIR holds ESC-50-master, 5 folds
    python tests/backbones.py recreate --results OUT     pre-train both again as they were made, and compare

Each prints its numbers as a table; `tasks` and `recreate` end with exit code 1 if a requirement is not met.
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
from benchmark.models.checkpoint import read_checkpoint
from benchmark.models.weights import OWN_FOLDER
from benchmark.records.store import ResultStore

BACKBONES = ("ast-demo", "ssast-demo")
RANDOM = "{}[weights=random:0]"
LINEAR_POINTS, LINEAR_TASKS, ADAPTER_TASKS = 15, 4, 5
SAME_LOSS = 0.05
REAL = {"epochs": 8, "frames": 256, "time_mask": 24, "batch_size": 16}


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


def esc10(results: Path, data_root: Path) -> bool:
    """Compare full fine-tuning, linear probing and adapters on real recordings."""
    own = json.loads((OWN_FOLDER / "ast-demo.json").read_text())["pretraining"]
    values = {**REAL, "mean": own["mean"], "std": own["std"]}
    for methods, lr in (("linear", 0.03), ("full", 0.0005), ("aat_m,aat_ms", 0.003)):
        settings = [part for key, value in {**values, "lr": lr}.items() for part in ("--set", f"recipe.{key}={value}")]
        call(
            "run", "--grid", "quick", "--dataset", "esc50", "--data-root", data_root, "--fold", "1,2,3,4,5",
            "--backbone", ",".join([*BACKBONES, *(RANDOM.format(name) for name in BACKBONES)]), "--method", methods,
            "--protocol", "corrected", "--set", "protocol.ssast_pooling=cls", *settings, "--results", results,
            "--no-report",
        )  # fmt: skip
    print(scores(results).round(1).to_string())
    return True


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
    parser.add_argument("what", choices=["tasks", "esc10", "recreate"])
    parser.add_argument("data_root", type=Path, nargs="?")
    parser.add_argument("--results", type=Path, required=True)
    given = parser.parse_args(arguments)
    torch.set_grad_enabled(False)
    if given.what == "esc10":
        if given.data_root is None:
            parser.error("esc10 needs the folder that holds ESC-50-master")
        return int(not esc10(given.results, given.data_root))
    return int(not (tasks if given.what == "tasks" else recreate)(given.results))


if __name__ == "__main__":
    sys.exit(main())
