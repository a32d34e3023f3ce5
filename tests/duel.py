"""Step the official implementation and this one side by side: time, peak memory and losses.

    pip install --no-deps --target TIMM timm==0.9.5
    python tests/duel.py DIR --timm TIMM

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
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
ADAPTERS = {  # the official option --finetune
    "full": [], "linear": ["head"], "partial": ["partial"], "prompt": ["prompt"], "aat_m": ["mlp"],
    "aat_ms": ["mlp", "spatial"], "aat_m+prompt": ["mlp", "prompt"], "aat_ms+prompt": ["mlp", "spatial", "prompt"],
}  # fmt: skip
CLASSES = 35
LEARNING_RATE, WEIGHT_DECAY = 1e-4, 5e-2
WARM_UP = 2


@dataclass(frozen=True)
class Case:
    """One comparison: a step of `clips` clips of `frames` frames on `device`."""

    method: str
    frames: int
    clips: int
    size: str
    device: str
    threads: int
    compiled: bool
    burst: int

    @property
    def official_arguments(self) -> dict[str, Any]:
        """Arguments of the official model."""
        return {
            "label_dim": CLASSES, "fstride": 10, "tstride": 10, "input_fdim": 128, "input_tdim": self.frames,
            "imagenet_pretrain": False, "audioset_pretrain": False, "model_size": self.size,
            "adapter": ADAPTERS[self.method],
        }  # fmt: skip


@dataclass(frozen=True)
class Step:
    """What a burst of steps gave: seconds of a step, mean loss."""

    seconds: float
    loss: float


Stepper = Callable[[int], float]  # takes a number of steps and returns their mean loss
Peak = Callable[[], int]


def make_official(case: Case, folder: Path, timm: Path) -> tuple[Stepper, Peak]:
    """Return official training steps, as in src/traintest.py, and what reads their peak GPU memory."""
    sys.path[:0] = [str(timm), str(folder / "src")]
    sys.modules["wget"] = types.ModuleType("wget")  # only downloads weights
    warnings.simplefilter("ignore")
    import torch
    from models.ast_models import ASTModel  # type: ignore[import-not-found]
    from torch.cuda.amp import GradScaler, autocast

    model = ASTModel(**case.official_arguments, verbose=False)
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


def make_ours(case: Case) -> tuple[Stepper, Peak]:
    """Return training steps of this suite, and what reads their peak GPU memory."""
    sys.path.insert(0, str(REPOSITORY))
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
    model = build_case({"family": "aat_ast", "ctor": case.official_arguments}, {})
    features, targets = _weights_and_batch(model, case)
    trainer = Trainer(model.to(case.device), request, torch.device(case.device), compiled=case.compiled)
    batch = features, targets, torch.ones_like(targets)

    def peak() -> int:
        assert trainer.memory.training is not None
        return trainer.memory.training.allocated or 0  # with what CUDA graphs keep

    return lambda steps: trainer.train(itertools.repeat(batch, steps)), peak


def _weights_and_batch(model: Any, case: Case) -> tuple[Any, Any]:
    """Fill the model by the rule and return features and targets."""
    sys.path.append(str(REPOSITORY))
    import torch

    from benchmark.tools.parity.rules import by_rule, inputs

    torch.set_num_threads(case.threads)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(by_rule(name, tuple(parameter.shape)))
    labels = torch.arange(case.clips) % CLASSES
    targets = torch.nn.functional.one_hot(labels, CLASSES).float()
    return inputs(5, case.clips, case.frames, 128).to(case.device), targets.to(case.device)


def serve(side: str, case: Case, folder: Path, timm: Path) -> None:
    """Take a burst of steps for every line of stdin and answer with a line, at its end with the peak of memory."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the official code prints is no answer
    steps, gpu_peak = make_official(case, folder, timm) if side == "official" else make_ours(case)
    import torch

    before = _resident()
    steps(WARM_UP)
    print("ready", file=answers)
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = steps(case.burst)
        if case.device == "cuda":
            torch.cuda.synchronize()
        print(json.dumps(asdict(Step((time.perf_counter() - start) / case.burst, loss))), file=answers)
    on_gpu = case.device == "cuda"
    peak = gpu_peak() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(peak - (0 if on_gpu else before), file=answers)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Side:
    """One implementation in its process."""

    def __init__(self, side: str, case: Case, options: argparse.Namespace) -> None:
        command = [sys.executable, __file__, str(options.folder), "--timm", str(options.timm)]
        command += ["--side", side, "--case", json.dumps(asdict(case))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.steps: list[Step] = []

    def wait(self) -> None:
        """Wait until it is warm."""
        if self._answer() != "ready":
            raise SystemExit("one side ended; its error is above")

    def step(self) -> None:
        """Let it take a step."""
        assert self._process.stdin
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        self.steps.append(Step(**json.loads(self._answer())))

    def end(self) -> int:
        """End it, and return its peak memory in bytes."""
        assert self._process.stdin
        self._process.stdin.close()
        peak = int(self._answer())
        self._process.wait()
        return peak

    def kill(self) -> None:
        """End it whatever it does."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    @property
    def seconds(self) -> float:
        """Median of the steps."""
        return statistics.median(step.seconds for step in self.steps)


@contextmanager
def both_sides(case: Case, options: argparse.Namespace) -> Iterator[tuple[Side, Side]]:
    """Start the official side and ours, and end them."""
    sides = Side("official", case, options), Side("ours", case, options)
    try:
        for side in sides:
            side.wait()
        yield sides
    finally:
        for side in sides:
            side.kill()


def compare(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Let both sides take steps in turns and return medians, ratios, and the largest relative difference of losses."""
    with both_sides(case, options) as (official, ours):
        for number in range(options.steps):
            for side in (official, ours) if number % 2 else (ours, official):
                side.step()
        gap = max(
            abs(one.loss - other.loss) / abs(one.loss) for one, other in zip(official.steps, ours.steps, strict=True)
        )
        peaks = official.end(), ours.end()
    ratios = [one.seconds / other.seconds for one, other in zip(ours.steps, official.steps, strict=True)]
    return {
        **asdict(case),
        "official_ms": 1e3 * official.seconds,
        "ours_ms": 1e3 * ours.seconds,
        "time_ratio": statistics.median(ratios),
        "official_mib": peaks[0] / 2**20,
        "ours_mib": peaks[1] / 2**20,
        "memory_ratio": peaks[1] / peaks[0],
        "loss_gap": gap,
    }


def main() -> None:
    """Compare every method at every length, or serve one side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="checkout of the official repository")
    parser.add_argument("--timm", type=Path, default=Path("timm-0.9.5"), help="folder with timm 0.9.5")
    parser.add_argument("--method", default="full,linear,partial,prompt,aat_m,aat_ms,aat_ms+prompt")
    parser.add_argument("--frames", default="128,512,1024")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--size", default="base384", help="official name of the model's size")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--compile", action="store_true", help="compile our side")
    parser.add_argument("--steps", type=int, default=11, help="bursts")
    parser.add_argument("--burst", type=int, help="steps of a burst: 1 on a CPU, 5 on a GPU unless given")
    parser.add_argument("--out", type=Path, help="write the comparisons as JSON lines")
    parser.add_argument("--side", choices=["official", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        serve(options.side, Case(**json.loads(options.case)), options.folder.resolve(), options.timm.resolve())
        return
    if not (options.folder / "src" / "models" / "ast_models.py").is_file():
        parser.error(f"{options.folder} is no checkout of the official repository: src/models/ast_models.py is missing")
    if not (options.timm / "timm").is_dir():
        parser.error(f"{options.timm} has no timm: pip install --no-deps --target {options.timm} timm==0.9.5")
    print("| method | frames | official ms | ours ms | ratio | official MiB | ours MiB | ratio | gap of losses |")
    print("|---|---|---|---|---|---|---|---|---|")
    where = options.clips, options.size, options.device, options.threads, options.compile
    burst = options.burst or (5 if options.device == "cuda" else 1)
    for frames in map(int, options.frames.split(",")):
        for method in options.method.split(","):
            case = Case(method, frames, *where, burst)
            found = compare(case, options)
            print(
                f"| {method} | {frames} | {found['official_ms']:.1f} | {found['ours_ms']:.1f} | "
                f"{found['time_ratio']:.3f} | {found['official_mib']:.0f} | {found['ours_mib']:.0f} | "
                f"{found['memory_ratio']:.3f} | {found['loss_gap']:.1e} |",
                flush=True,
            )
            if options.out:
                with options.out.open("a") as handle:
                    handle.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
