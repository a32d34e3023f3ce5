"""Run one trial and leave a record, or an attempt that says why there is none."""

from __future__ import annotations

import gc
import math
import resource
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from benchmark.data.loader import TrainingOrder, evaluation_batches, training_batches
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError
from benchmark.models.checkpoint import Checkpoint, read_checkpoint
from benchmark.models.weights import digest
from benchmark.records.environment import capture, utc_now
from benchmark.records.schema import Attempt, Epoch, Profile, Record
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model
from benchmark.trial.fingerprint import code_fingerprint
from benchmark.trial.inputs import Inputs, prepare
from benchmark.trial.loop import Trainer
from benchmark.trial.metrics import evaluate
from benchmark.trial.seeding import Seeds
from benchmark.trial.selection import choose, kept_epochs

Report = Callable[[dict[str, Any]], None]
Predictions = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Setting:
    """Where and with what a trial runs; nothing here changes its result beyond rounding.

    `cache` is the folder of the audio cache (None: decode each time), `checkpoints` are paths by sha256, `threads` for
    arithmetic, `workers` processes that load data, `exclusive` when nothing else uses the device,
    `fresh_process` when this process runs no other trial, `fingerprint` of the code when the trial was submitted.
    """

    results: Path
    data_root: Path
    cache: Path | None
    checkpoints: Mapping[str, Path]
    device: str
    threads: int
    workers: int
    exclusive: bool
    fresh_process: bool
    fingerprint: str


@dataclass(frozen=True)
class Outcome:
    """How a try ended; `error` is one line."""

    status: Literal["completed", "diverged", "failed", "out_of_memory"]
    error: str | None = None


def attempt_trial(request: TrialRequest, setting: Setting, report: Report) -> Outcome:
    """Run a trial; an error of the trial itself becomes an attempt in the results folder instead of being raised.

    Args:
        request: what to run.
        setting: where.
        report: called after every epoch with `epoch`, `epochs`, `loss`, and `metric`, `split` and `value` of the score.
    """
    store = ResultStore(setting.results)
    try:
        record, predictions = run_trial(request, setting, report)
        store.write(record, predictions)
    except (Exception, SystemExit) as error:
        status: Literal["failed", "out_of_memory"] = (
            "out_of_memory" if isinstance(error, (MemoryError, torch.OutOfMemoryError)) else "failed"
        )
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        store.write_attempt(Attempt.now(request, status, line, traceback.format_exc(), setting.fingerprint))
        return Outcome(status, line)
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return Outcome(record.status)


def run_trial(request: TrialRequest, setting: Setting, report: Report) -> tuple[Record, Predictions]:
    """Train and evaluate; returns the record and the predictions to store beside it.

    Raises:
        BenchmarkError: bad data or a method that does not fit; anything else is a fault of the code.
    """
    started, began = utc_now(), time.perf_counter()
    if code_fingerprint(request) != setting.fingerprint:
        raise BenchmarkError("the code changed since this trial was submitted; give the `run` again")
    torch.set_num_threads(setting.threads)
    torch.set_default_dtype(torch.float32)  # in case an earlier trial of this process changed it
    device = torch.device(setting.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    manifest = get_dataset(request.dataset.name).manifest(setting.data_root)
    facts, inputs = manifest.facts, prepare(request, manifest, setting.cache)
    model, parameters = build_model(request, inputs.data.classes, _checkpoint(request, setting))
    trainer = Trainer(model.to(device), request, device)
    trainer.clock.seconds["setup"] = time.perf_counter() - began
    course = _train(request, facts.metric, setting.workers, inputs, trainer, report)
    trainer.clock.seconds["total"] = time.perf_counter() - began
    end = course.curves[-1]
    diverged = end.train_loss is None or end.splits["test"][facts.metric] is None
    selection = choose(request, facts, course.curves, diverged=diverged)
    environment, environment_hash = capture(
        device=_device_name(device),
        cuda=torch.version.cuda if device.type == "cuda" else None,
        threads=setting.threads,
    )
    record = Record(
        id=request.id,
        request=request,
        status="diverged" if diverged else "completed",
        data=inputs.data,
        selection=selection,
        curves=course.curves,
        parameters=parameters,
        profile=_profile(setting, trainer, len(course.curves) * inputs.data.used["train"]),
        environment=environment,
        environment_hash=environment_hash,
        fingerprint=setting.fingerprint,
        started=started,
        finished=utc_now(),
    )
    return record, _predictions(inputs, course, kept_epochs(selection, len(course.curves)))


def _checkpoint(request: TrialRequest, setting: Setting) -> Checkpoint | None:
    """Read the weights, after making sure that they are those of the request."""
    backbone = request.backbone
    if backbone.random_weights:
        return None
    path = setting.checkpoints.get(backbone.sha256 or "")
    if path is None or digest(path) != backbone.sha256:
        raise BenchmarkError(f"{backbone.variant}: its checkpoint changed since this trial was planned; run again")
    return read_checkpoint(path)


@dataclass
class Course:
    """What the epochs left: curves, and by evaluated split the logits of every epoch, targets, observed classes."""

    curves: list[Epoch] = field(default_factory=list)
    logits: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    targets: dict[str, torch.Tensor] = field(default_factory=dict)
    observed: dict[str, torch.Tensor] = field(default_factory=dict)


def _train(
    request: TrialRequest,
    metric: str,
    workers: int,
    inputs: Inputs,
    trainer: Trainer,
    report: Report,
) -> Course:
    recipe, seeds, clock, device = request.recipe, Seeds(request), trainer.clock, trainer.clock.device
    order = TrainingOrder(inputs.data.used["train"], recipe.batch_size, recipe.mixup)
    batches = training_batches(inputs.splits["train"], order, workers, device)
    held_out = {
        name: evaluation_batches(clips, recipe.batch_size, workers, device) for name, clips in inputs.evaluation.items()
    }
    # only the supervised backbone's forward pass is autocast in the official evaluation (defect D8)
    ranking = request.protocol.eval_logits if request.backbone.pretraining == "supervised" else "float32"
    course = Course(logits={name: [] for name in held_out})
    for epoch in range(1, recipe.epochs + 1):
        before = dict(clock.seconds)
        order.set_epoch(seeds.order(epoch), seeds.draws(epoch))
        loss = trainer.train(batches)
        results = {}
        for name, split in held_out.items():
            logits, course.targets[name], course.observed[name] = trainer.predict(split)
            course.logits[name].append(logits)
            results[name] = evaluate(logits, course.targets[name], course.observed[name], ranking)
        finite = math.isfinite(loss)
        course.curves.append(
            Epoch(
                epoch=epoch,
                lr=trainer.schedule.applied,
                train_loss=loss if finite else None,
                splits=results,
                seconds={key: clock.seconds[key] - before[key] for key in ("data", "train", "eval")},
            )
        )
        value = results["test"][metric]
        report(
            {"epoch": epoch, "epochs": recipe.epochs, "loss": loss, "metric": metric, "split": "test", "value": value}
        )
        if not finite:
            break
        trainer.schedule.after_epoch()
    return course


def _predictions(inputs: Inputs, course: Course, epochs: list[int]) -> Predictions:
    kept: Predictions = {"epochs": np.array(epochs)}
    for name, split in inputs.evaluation.items():
        kept[f"clips_{name}"] = np.array([clip.path for clip in split.clips])
        kept[f"targets_{name}"] = course.targets[name].numpy()
        kept[f"observed_{name}"] = course.observed[name].numpy()
        kept[f"logits_{name}"] = torch.stack([course.logits[name][epoch - 1] for epoch in epochs]).numpy()
    return kept


def _profile(setting: Setting, trainer: Trainer, trained_clips: int) -> Profile:
    device, seconds = trainer.clock.device, trainer.clock.seconds
    cuda = device.type == "cuda"
    # Linux counts in KiB; the peak belongs to the process, so a process that ran other trials tells nothing
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if setting.fresh_process else None
    return Profile(
        device=_device_name(device),
        precision=trainer.precision.name,
        exclusive=setting.exclusive,
        seconds=seconds,
        train_clips_per_second=trained_clips / (seconds["train"] + seconds["data"]),
        gpu_allocated_bytes=torch.cuda.max_memory_allocated(device) if cuda else None,
        gpu_reserved_bytes=torch.cuda.max_memory_reserved(device) if cuda else None,
        host_rss_bytes=rss,
    )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
