"""Step the official implementation and this one side by side: time, peak memory and losses; or whole epochs.

    pip install --no-deps --target TIMM timm==0.9.5
    python tests/duel.py DIR --timm TIMM
    python tests/duel.py DIR --timm TIMM --epoch      # see duel_epoch.py

DIR is a checkout of github.com/MichaelLynn1996/AAT, which the suite does not ship. Both sides have the same shapes,
weights (the rule of tests/golden), optimiser and batch, and each its own process. They take bursts of steps in turns:
whatever else the machine does falls on both. The official side does what its `traintest.py` does in a step.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
sys.path.append(str(REPOSITORY))  # a script finds only its own folder

from tests.duel_epoch import EPOCH_ROW, EPOCH_TABLE, EpochCase, compare_epochs, serve_epochs  # noqa: E402
from tests.duel_sides import READY, Case, alternate, answers, both_sides, find_official  # noqa: E402

CLASSES = 35
LEARNING_RATE, WEIGHT_DECAY = 1e-4, 5e-2
WARM_UP = 2


@dataclass(frozen=True)
class StepCase(Case):
    """Bursts of `burst` training steps."""

    burst: int


Stepper = Callable[[int], float]  # takes a number of steps and returns their mean loss
Peak = Callable[[], int]


def make_official(case: StepCase, folder: Path, timm: Path) -> tuple[Stepper, Peak]:
    """Return official training steps, as in src/traintest.py, and what reads their peak GPU memory."""
    find_official(folder, timm)
    import torch
    from models.ast_models import ASTModel  # type: ignore[import-not-found]
    from torch.cuda.amp import GradScaler, autocast

    model = ASTModel(**case.official_arguments(CLASSES), verbose=False)
    features, targets = _weights_and_batch(model, case)
    model = torch.nn.DataParallel(model).to(case.device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    scaler, loss_of = GradScaler(), torch.nn.BCEWithLogitsLoss()
    model.train()

    def step() -> float:
        with autocast():
            loss = loss_of(model(features), targets)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return float(loss.item())

    return lambda steps: statistics.fmean(step() for _ in range(steps)), torch.cuda.max_memory_allocated


def make_ours(case: StepCase) -> tuple[Stepper, Peak]:
    """Return training steps of this suite, and what reads their peak GPU memory."""
    import torch

    from benchmark.planning.expand import expand
    from benchmark.tools.parity.build import build_case
    from benchmark.trial.train_step import Trainer
    from tests.conftest import tiny_grid

    recipe = {
        "frames": case.frames, "stride": [10, 10], "batch_size": case.clips, "lr": LEARNING_RATE, "loss": "bce",
        "weight_decay": WEIGHT_DECAY, "precision": "amp", "warmup_steps": 0,
    }  # fmt: skip
    grid = tiny_grid(methods=[case.method], overrides=[{"source": "duel", "values": recipe}])
    request = expand(grid, Path("no-data"), Path("no-checkpoints")).requests[0]
    model = build_case({"family": "aat_ast", "ctor": case.official_arguments(CLASSES)}, {})
    features, targets = _weights_and_batch(model, case)
    trainer = Trainer(model.to(case.device), request, torch.device(case.device), compiled=case.compiled)
    batch = features, targets, torch.ones_like(targets)

    def peak() -> int:
        assert trainer.memory.training is not None
        return trainer.memory.training.allocated or 0  # with what CUDA graphs keep

    return lambda steps: trainer.train(itertools.repeat(batch, steps)), peak


def _weights_and_batch(model: Any, case: StepCase) -> tuple[Any, Any]:
    """Fill the model by the rule and return features and targets."""
    import torch

    from benchmark.tools.parity.rules import by_rule, inputs

    torch.set_num_threads(case.threads)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(by_rule(name, tuple(parameter.shape)))
    labels = torch.arange(case.clips) % CLASSES
    targets = torch.nn.functional.one_hot(labels, CLASSES).float()
    return inputs(5, case.clips, case.frames, 128).to(case.device), targets.to(case.device)


def serve_steps(side: str, case: StepCase, folder: Path, timm: Path) -> None:
    """Take a burst of steps for every line of stdin and answer with a line, at its end with the peak of memory."""
    answer = answers()
    steps, gpu_peak = make_official(case, folder, timm) if side == "official" else make_ours(case)
    import torch

    before = _resident()
    steps(WARM_UP)
    print(READY, file=answer)
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = steps(case.burst)
        if case.device == "cuda":
            torch.cuda.synchronize()
        print(json.dumps({"seconds": (time.perf_counter() - start) / case.burst, "loss": loss}), file=answer)
    on_gpu = case.device == "cuda"
    peak = gpu_peak() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(peak - (0 if on_gpu else before), file=answer)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def compare_steps(case: StepCase, options: argparse.Namespace) -> dict[str, Any]:
    """Let both sides take steps in turns and return medians, ratios, and the largest relative difference of losses."""
    with both_sides(case, options) as (official, ours):
        alternate((official, ours), options.steps)
        pairs = list(zip(official.turns, ours.turns, strict=True))
        peaks = int(official.end()), int(ours.end())
    return {
        **asdict(case),
        "official_ms": 1e3 * statistics.median(one["seconds"] for one, _ in pairs),
        "ours_ms": 1e3 * statistics.median(other["seconds"] for _, other in pairs),
        "time_ratio": statistics.median(other["seconds"] / one["seconds"] for one, other in pairs),
        "official_mib": peaks[0] / 2**20,
        "ours_mib": peaks[1] / 2**20,
        "memory_ratio": peaks[1] / peaks[0],
        "loss_gap": max(abs(one["loss"] - other["loss"]) / abs(one["loss"]) for one, other in pairs),
    }


STEP_TABLE = """
| method | frames | official ms | ours ms | ratio | official MiB | ours MiB | ratio | gap of losses |
|---|---|---|---|---|---|---|---|---|
"""
STEP_ROW = (
    "| {method} | {frames} | {official_ms:.1f} | {ours_ms:.1f} | {time_ratio:.3f} | {official_mib:.0f} | "
    "{ours_mib:.0f} | {memory_ratio:.3f} | {loss_gap:.1e} |"
)


def main() -> None:
    """Compare every method at every length, or serve one side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="checkout of the official repository")
    parser.add_argument("--timm", type=Path, default=Path("timm-0.9.5"), help="folder with timm 0.9.5")
    parser.add_argument("--method", default="full,linear,partial,prompt,aat_m,aat_ms,aat_ms+prompt")
    parser.add_argument("--frames", help="128,512,1024 unless given; 512 with --epoch")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--size", default="base384", help="official name of the model's size")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--compile", action="store_true", help="compile our side")
    parser.add_argument("--steps", type=int, default=11, help="bursts, or epochs after the first")
    parser.add_argument("--burst", type=int, help="steps of a burst: 1 on a CPU, 5 on a GPU unless given")
    parser.add_argument("--epoch", action="store_true", help="compare whole epochs: loader, steps and evaluation")
    parser.add_argument(
        "--loaders",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="processes of the official loader (its num_workers); all cores unless given",
    )
    parser.add_argument("--out", type=Path, help="write the comparisons as JSON lines")
    parser.add_argument("--side", choices=["official", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        folders, case = (options.folder.resolve(), options.timm.resolve()), json.loads(options.case)
        if options.data:
            serve_epochs(options.side, EpochCase(**case), *folders, options.data)
        else:
            serve_steps(options.side, StepCase(**case), *folders)
        return
    if not (options.folder / "src" / "models" / "ast_models.py").is_file():
        parser.error(f"{options.folder} is no checkout of the official repository: src/models/ast_models.py is missing")
    if not (options.timm / "timm").is_dir():
        parser.error(f"{options.timm} has no timm: pip install --no-deps --target {options.timm} timm==0.9.5")
    where = options.clips, options.size, options.device, options.threads, options.compile
    burst = options.burst or (5 if options.device == "cuda" else 1)
    print((EPOCH_TABLE if options.epoch else STEP_TABLE).strip(), flush=True)
    for frames in map(int, (options.frames or ("512" if options.epoch else "128,512,1024")).split(",")):
        for method in options.method.split(","):
            if options.epoch:
                found = compare_epochs(EpochCase(method, frames, *where, options.loaders), options)
            else:
                found = compare_steps(StepCase(method, frames, *where, burst), options)
            print((EPOCH_ROW if options.epoch else STEP_ROW).format(**found), flush=True)
            if options.out:
                with options.out.open("a") as handle:
                    handle.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
