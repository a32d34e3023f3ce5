"""Measure what trials gain that share a GPU: total clips per second of 1, 2, 4, 8 processes that train at once.

    python tests/sharing.py [--mps]

Each process trains AAT-MS on random input at the shape of Speech Commands V2 (128 frames, 128 clips), without loading
data. `--mps` starts NVIDIA's Multi-Process Service for the measurement and stops it afterwards.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY))

AT_ONCE = (1, 2, 4, 8)


def work(commands: Any, answers: Any, method: str, options: dict[str, Any]) -> None:
    """Build a trainer, then train for as many seconds as each command says and answer with the clips per second."""
    import torch

    from benchmark.data.loader import Batch
    from benchmark.planning.expand import expand
    from benchmark.trial.build import build_model
    from benchmark.trial.train_step import Trainer
    from tests.conftest import tiny_grid

    torch.set_num_threads(1)
    device = torch.device(options["device"])
    recipe = {
        "frames": options["frames"], "stride": [10, 10], "batch_size": options["clips"], "lr": 1e-5, "loss": "bce",
        "precision": "amp", "warmup_steps": 0, "time_mask": 0, "freq_mask": 0,
    }  # fmt: skip
    grid = tiny_grid(
        methods=[method],
        backbones=[f"ast[size={options['size']};weights=random:0]"],
        overrides=[{"source": "x", "values": recipe}],
    )
    request = expand(grid, Path("no-data"), Path("no-checkpoints")).requests[0]
    built = build_model(request, 35)
    trainer = Trainer(built.model.to(device), request, device, built.groups, compiled=options["compile"])
    features = torch.randn(options["clips"], options["frames"], 128, device=device)
    targets = torch.eye(35, device=device)[torch.arange(options["clips"], device=device) % 35]
    batch: Batch = features, targets, torch.ones_like(targets)

    def for_seconds(seconds: float) -> Iterator[Batch]:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            yield batch

    trainer.train([batch, batch, batch])
    answers.put(0.0)
    while (seconds := commands.get()) is not None:
        start, before = time.perf_counter(), trainer.schedule.steps
        trainer.train(for_seconds(seconds))
        answers.put((trainer.schedule.steps - before) * options["clips"] / (time.perf_counter() - start))


def answer(answers: Any, processes: list[Any]) -> float:
    """Return the next answer of a process."""
    while True:
        try:
            return float(answers.get(timeout=1))
        except queue.Empty:
            if any(process.exitcode for process in processes):
                raise SystemExit("a process ended; its error is above") from None


@contextmanager
def service(wanted: bool) -> Iterator[None]:
    """Run NVIDIA's Multi-Process Service in folders of its own."""
    if not wanted:
        yield
        return
    if shutil.which("nvidia-cuda-mps-control") is None:
        raise SystemExit("--mps: nvidia-cuda-mps-control is not installed")
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        subprocess.run(["nvidia-cuda-mps-control", "-d"], check=True)
        try:
            yield
        finally:
            subprocess.run(["nvidia-cuda-mps-control"], input="quit\n", text=True, check=False)


def main() -> None:
    """Measure every number of processes at once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="aat_ms")
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--size", default="base")
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--most", type=int, default=max(AT_ONCE), help="most processes at once")
    parser.add_argument("--mps", action="store_true")
    options = parser.parse_args()
    counts = [count for count in AT_ONCE if count <= options.most]
    context = multiprocessing.get_context("spawn")
    with service(options.mps):
        answers, commands = context.Queue(), [context.Queue() for _ in range(counts[-1])]
        processes = [
            context.Process(target=work, args=(line, answers, options.method, vars(options)), daemon=True)
            for line in commands
        ]
        for process in processes:
            process.start()
            if process is processes[0]:
                answer(answers, processes[:1])  # the others find what it has compiled
        for _ in processes[1:]:
            answer(answers, processes)
        found = {}
        for count in counts:
            for line in commands[:count]:
                line.put(options.seconds)
            found[count] = sum(answer(answers, processes) for _ in range(count))
            gain = found[count] / found[counts[0]]
            print(f"{count} at once: {found[count]:.0f} clips/s in all, {gain:.2f} of one alone", flush=True)
        for line, process in zip(commands, processes, strict=True):
            line.put(None)
            process.join()
    print(json.dumps({"mps": options.mps, "clips_per_second": found}))


if __name__ == "__main__":
    main()
