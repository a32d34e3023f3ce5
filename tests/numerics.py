"""Pinned trials, which define the numerics version.

`python tests/numerics.py --write` computes the trials of `CASES` and writes `tests/golden/numerics.json`. It refuses to
replace numbers under the same numerics version. Without `--write` it prints how far this machine is from the file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY))  # a script finds only its own folder

from benchmark.data.registry import get_dataset  # noqa: E402
from benchmark.numerics import NUMERICS_VERSION  # noqa: E402
from benchmark.planning.expand import expand  # noqa: E402
from benchmark.spec.options import RunOptions  # noqa: E402
from benchmark.trial.run import Finished, Setting, run_trial  # noqa: E402
from tests.conftest import AST, SSAST, tiny_grid  # noqa: E402
from tests.samples import make_cost  # noqa: E402

GOLDEN = REPOSITORY / "tests" / "golden" / "numerics.json"
# Rounding differs between processors. With instruction sets from SSE 4.1 to AVX-512 (ATEN_CPU_CAPABILITY,
# ONEDNN_MAX_CPU_ISA, MKL_CBWR) losses moved by at most 3e-7 and logits by 4e-6; a
# changed draw moves them by 1e-4 or more.
TOLERANCES = {"losses": 1e-5, "logits": 2e-5, "metric": 1e-6}
SHOWN_LOGITS = 6  # of each test clip
RECIPE = {
    "epochs": 2, "batch_size": 4, "frames": 64, "time_mask": 12, "freq_mask": 12, "stride": [16, 16], "lr": 1e-3,
    "mixup": 0, "noise": False, "loss": "cross_entropy", "warmup_steps": 0, "decay_start": 1, "decay_step": 1,
    "decay_gamma": 0.5,
}  # fmt: skip
SYNTHETIC = {"esc50": (3, 1), "urbansound8k": (2, 1), "openmic": (3, 3)}  # classes, clips of each in a fold or split


@dataclass(frozen=True)
class Case:
    """A tiny trial: a method, what is changed in the recipe, and protocol switches."""

    method: str
    backbone: str = AST
    dataset: str = "esc50"
    recipe: dict[str, Any] = field(default_factory=dict)
    switches: dict[str, str] = field(default_factory=dict)


MIXED = {"mixup": 0.5, "loss": "bce"}
SOUNDING = {"loss": "bce"}
TIED = {"loss": "bce", "lr": 1e-6}  # logits so close together that half precision ties some of them
CASES = {
    **{
        name: Case(name)
        for name in ("full", "linear", "partial", "prompt", "aat_m", "aat_ms", "aat_m+prompt", "aat_ms+prompt")
    },
    "lora": Case("lora"),
    "conformer": Case(
        "conformer", recipe={"lr": 1e-5}
    ),  # BatchNorm after a bias: Adam's first steps there are rounding
    "lora+ssf": Case("lora+ssf"),  # two modules on one layer
    "aat_m+houlsby": Case("aat_m+houlsby"),  # two modules on one sub-layer
    "prefix": Case("prefix"),
    "ssast linear": Case("linear", SSAST),
    "ssast full": Case("full", SSAST),
    "ssast aat_ms": Case("aat_ms", SSAST),
    "mixup": Case("aat_ms", recipe=MIXED),
    "noise": Case("aat_ms", recipe={"noise": True}),
    "mixup and noise": Case("linear", recipe={**MIXED, "noise": True}),
    "other length": Case("linear", recipe={"frames": 96, "stride": [10, 10]}),
    "prompts=insert": Case("prompt", switches={"prompts": "insert"}),
    "ssast_pooling=patches": Case("linear", SSAST, switches={"ssast_pooling": "patches"}),
    "openmic": Case("linear", dataset="openmic", recipe=SOUNDING),
    "openmic_test=test_list": Case(
        "linear", dataset="openmic", recipe=SOUNDING, switches={"openmic_test": "test_list"}
    ),
    "openmic_labels=relevance_masked": Case(
        "linear", dataset="openmic", recipe=SOUNDING, switches={"openmic_labels": "relevance_masked"}
    ),
    "eval_logits": Case("linear", dataset="openmic", recipe=TIED),
    "eval_logits=float32": Case("linear", dataset="openmic", recipe=TIED, switches={"eval_logits": "float32"}),
    "urbansound8k": Case("linear", dataset="urbansound8k"),
    "us8k_epoch_folds=10": Case("linear", dataset="urbansound8k", switches={"us8k_epoch_folds": "10"}),
    "selection=last": Case("linear", switches={"selection": "last"}),
    "warmup": Case("linear", recipe={"warmup_steps": 60}),
    "warmup=linear": Case("linear", recipe={"warmup_steps": 60}, switches={"warmup": "linear"}),
    "padding=silence": Case("linear", recipe={"frames": 640, "time_mask": 48}, switches={"padding": "silence"}),
    "padding": Case("linear", recipe={"frames": 640, "time_mask": 48}),
    "norm_stats=training_clips": Case("linear", switches={"norm_stats": "training_clips"}),
    "count_unused_heads=no": Case("full", switches={"count_unused_heads": "no"}),
}


def make_data(root: Path) -> None:
    """Write the synthetic datasets that the cases need."""
    for name, (classes, clips) in SYNTHETIC.items():
        get_dataset(name).synthesize(root, classes=classes, clips_per_class=clips, seed=0)


def run_case(case: Case, data_root: Path, folder: Path) -> dict[str, Any]:
    """Run a case and return what is pinned.

    Args:
        case: what to run.
        data_root: with the datasets of `make_data`.
        folder: for the audio cache.

    Returns:
        `losses` by epoch, `logits` of the test clips at the last epoch, `metric` by epoch, and what must be equal:
        `selection`, `parameters`, `trainable`.
    """
    grid = tiny_grid(
        backbones=[case.backbone], datasets=[case.dataset], methods=[case.method], switches=case.switches,
        overrides=[{"source": "test", "values": {**RECIPE, **case.recipe}}],
    )  # fmt: skip
    [request] = expand(grid, data_root, folder).requests
    setting = Setting(folder, RunOptions(data_root, folder / "cache", test_curves=True), cost=make_cost())
    finished: Finished = run_trial(request, setting, lambda _: None)
    record = finished.record
    selection = record.selection
    logits = finished.predictions["logits_test"][-1][:, :SHOWN_LOGITS]
    return {
        "losses": [point.train_loss for point in record.curves],
        "logits": np.asarray(logits, float).round(7).tolist(),
        "metric": [point.splits["test"][selection.metric] for point in record.curves],
        "equal": {
            "selection": selection.model_dump(mode="json"),
            "parameters": record.parameters.total,
            "trainable": record.parameters.trainable,
            "counts_unused_heads": request.protocol.count_unused_heads,
            "clips": record.data.used,
        },
    }


def moved(found: dict[str, Any], pinned: dict[str, Any]) -> str | None:
    """Return what moved more than rounding explains; None if nothing did."""
    if found["equal"] != pinned["equal"]:
        return f"{found['equal']} instead of {pinned['equal']}"
    for name, tolerance in TOLERANCES.items():
        if np.shape(found[name]) != np.shape(pinned[name]):
            return f"{name} have shape {np.shape(found[name])} instead of {np.shape(pinned[name])}"
        if (gap := distance(found, pinned, name)) > tolerance:
            return f"{name} moved by {gap:.2g}, more than {tolerance:.2g}"
    return None


def distance(found: dict[str, Any], pinned: dict[str, Any], name: str) -> float:
    """Return the largest absolute difference of `losses`, `logits` or `metric`."""
    return float(np.max(np.abs(np.subtract(found[name], pinned[name]))))


def main() -> None:
    """Compute every case, then compare or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write tests/golden/numerics.json")
    arguments = parser.parse_args()
    before = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {"numerics_version": 0, "cases": {}}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        make_data(root)
        found = {name: run_case(case, root, root / "out") for name, case in CASES.items()}
    gone = []
    for name, values in found.items():
        pinned = before["cases"].get(name)
        if pinned is None:
            print(f"{name}: new")
            continue
        gaps = ", ".join(f"{key} {distance(values, pinned, key):.1e}" for key in TOLERANCES)
        print(f"{name}: {gaps}")
        if reason := moved(values, pinned):
            gone.append(f"{name}: {reason}")
    if not arguments.write:
        sys.exit("\n".join(gone) or 0)
    if gone and before["numerics_version"] == NUMERICS_VERSION:
        sys.exit("\n".join([*gone, f"raise NUMERICS_VERSION in benchmark/numerics.py first, it is {NUMERICS_VERSION}"]))
    kept = {} if before["numerics_version"] != NUMERICS_VERSION else before["cases"]
    content = {"numerics_version": NUMERICS_VERSION, "cases": {name: kept.get(name, found[name]) for name in CASES}}
    GOLDEN.write_text(json.dumps(content, indent=1) + "\n")
    print(f"wrote {GOLDEN}")


if __name__ == "__main__":
    main()
