"""Pre-train a backbone: can be continued, reports progress, and writes a checkpoint with a report."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.data.frontend import FrontEnd
from benchmark.data.loader import Batches, Clips, evaluation_batches, training_batches
from benchmark.data.order import TrainingOrder
from benchmark.data.parallel import usable_cores
from benchmark.data.workers import DataWorkers
from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.models.checkpoint import Checkpoint, save_checkpoint, save_official
from benchmark.models.checkpoint_formats import Own
from benchmark.models.weights import digest
from benchmark.progress import Progress
from benchmark.records.environment import capture, utc_now
from benchmark.spec.pretraining import MELS, Pretraining
from benchmark.tools.pretrain.audio import Audio
from benchmark.tools.pretrain.objectives import Masked, Task, make_task
from benchmark.tools.pretrain.optimizers import Steps
from benchmark.trial.device import device_name
from benchmark.trial.matrix_products import fast_products
from benchmark.trial.resume import ResumeFiles, random_state, restore_random_state
from benchmark.trial.seeding import seed_everything, stream

WARMUP_SHARE = 0.05  # of the steps
EpochDone = Callable[[dict[str, float]], None]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainingBatches:
    """The batches of a run.

    Attributes:
        training: batches of the training clips.
        order: their order, set for each epoch.
        held_out: batches of the held-out clips.
    """

    training: Batches
    order: TrainingOrder
    held_out: Batches


def make_batches(run: Pretraining, audio: Audio, device: torch.device) -> PretrainingBatches:
    """Create the batches of the training clips and of the held-out clips.

    Args:
        run: settings of the pre-training.
        audio: the clips.
        device: where the features are computed.
    """
    front_end = FrontEnd(
        mels=MELS, frames=run.frames, mean=run.mean, std=run.std, freq_mask=run.freq_mask, time_mask=run.time_mask,
        fill=0.0, noise=False,
    )  # fmt: skip
    train, held_out = (
        Clips(
            audio.store,
            [clip for clip in audio.manifest.clips if clip.split == split],
            max(1, run.classes),
            front_end,
        )
        for split in ("train", "test")
    )
    order = TrainingOrder(len(train), run.batch_size, 0.0)
    workers = 0 if device.type == "cpu" else min(8, usable_cores())
    readers = DataWorkers.of(train, workers, device)
    return PretrainingBatches(
        training_batches(train, order, readers, device),
        order,
        evaluation_batches(held_out, run.batch_size, readers, device),
    )


@fast_products()
def pretrain(
    run: Pretraining,
    batches: PretrainingBatches,
    out: Path,
    *,
    multi_label: bool,
    device: torch.device,
    progress: Progress,
    after_epoch: EpochDone,
    start: Checkpoint | None = None,
) -> dict[str, Any]:
    """Train, or continue after the last epoch of an interrupted call, and write the checkpoint.

    Args:
        run: settings of the pre-training.
        batches: the batches.
        out: the checkpoint file. A report is written beside it as `.json`; until then, `.state` keeps the last epoch.
        multi_label: whether clips have several labels.
        device: where the model is trained.
        progress: called after each step with a description, the steps done and the steps in total.
        after_epoch: called after each epoch with its values.
        start: the checkpoint that training starts from; None for random weights.

    Returns:
        The report.

    Raises:
        BenchmarkError: the loss is not finite, the file cannot be written, or the checkpoint has another architecture.
    """
    seed_everything(run.seed)
    task = make_task(run, multi_label=multi_label, start=start).to(device)
    optimizer = Steps(task, run)
    key = f"{hashlib.sha256(run.model_dump_json().encode()).hexdigest()}, {device.type}"
    resume_files = ResumeFiles(out.with_name(f"{out.name}.state"))
    history: list[dict[str, float]] = []
    if state := resume_files.load(key):
        task.load_state_dict(state["task"])
        optimizer.load_state_dict(state["optimizer"])
        restore_random_state(state["random"])
        history = state["history"]
        logger.info("%s: continuing after epoch %d of %d", out, len(history), run.epochs)
    steps = len(batches.order)
    for epoch in range(len(history) + 1, run.epochs + 1):
        batches.order.set_epoch(
            stream("pretrain", run.seed, "order", epoch), stream("pretrain", run.seed, "draws", epoch)
        )
        rng = np.random.default_rng(stream("pretrain", run.seed, "masks", epoch))
        task.train()
        losses = []
        for number, batch in enumerate(batches.training, start=1):
            loss = task.measure(batch, rng)["loss"]
            optimizer.step(loss, rate((epoch - 1) * steps + number, run.epochs * steps))
            losses.append(loss.detach())
            progress(f"epoch {epoch} of {run.epochs}", number, steps)
        values = {"epoch": epoch, "train_loss": float(torch.stack(losses).mean()), **evaluate(task, batches, run)}
        if not math.isfinite(values["train_loss"]):
            raise BenchmarkError(f"epoch {epoch}: the loss is not finite; use a lower --lr")
        history.append(values)
        after_epoch(values)
        resume_files.save(
            {
                "written_by": key,
                "task": task.state_dict(),
                "optimizer": optimizer.state_dict(),
                "random": random_state(),
                "history": history,
            }
        )
    write(run, task.cpu(), out)
    environment, _ = capture(device=device_name(device))
    report = {
        "pretraining": run.model_dump(mode="json"),
        "sha256": digest(out),
        "final": history[-1],
        "history": history,
        "finished": utc_now(),
        "environment": environment,
    }
    write_atomic(out.with_suffix(".json"), json.dumps(report, indent=1).encode() + b"\n")
    resume_files.remove()
    return report


def rate(step: int, steps: int) -> float:
    """Return the share of the highest learning rate: linear warm-up, then a cosine to 0. Steps count from 1."""
    warmup = max(1.0, WARMUP_SHARE * steps)
    return min(1.0, step / warmup) * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))


@torch.no_grad()
def evaluate(task: Task, batches: PretrainingBatches, run: Pretraining) -> dict[str, float]:
    """Return means over the held-out clips, with the same masks in every epoch."""
    task.eval()
    rng = np.random.default_rng(stream("pretrain", run.seed, "held out"))
    sums: dict[str, float] = {}
    for batch in batches.held_out:
        for name, value in task.measure(batch, rng).items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(batch[0])
    return {f"held_out_{name}": total / run.clips["held out"] for name, total in sums.items()}


def write(run: Pretraining, task: Task, out: Path) -> None:
    """Write the checkpoint: official sizes in the official format, others in this suite's format at half precision."""
    model = task.backbone
    if run.official:
        save_official(model, out, task.masked if isinstance(task, Masked) else None, run.frames)
        return
    head = {name: value for name, value in model.state_dict().items() if name.startswith("mlp_head.")}
    checkpoint = Checkpoint(
        layout=Own.name, shape=run.shape, distilled=True, grid=model.config.grid, norm_eps=model.config.norm_eps,
        head_norm_eps=model.config.head_norm_eps, tensors=model.backbone_tensors(),
        head=head if run.objective == "supervised" else {}, dropped=(),
        family="ast" if run.objective == "supervised" else "ssast", mels=model.config.mels,
    )  # fmt: skip
    save_checkpoint(checkpoint, out, half=True)
