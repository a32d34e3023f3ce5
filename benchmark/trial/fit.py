"""Train and evaluate a trial epoch by epoch, keeping what its record needs; an interrupted trial continues."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt
import torch

from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.loader import Batch, TrainingOrder, evaluation_batches, training_batches
from benchmark.data.manifest import Split
from benchmark.data.workers import DataWorkers
from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.schema import Epoch
from benchmark.spec.request import TrialRequest
from benchmark.trial.data import TrialData
from benchmark.trial.metrics import by_clip, evaluate, parts
from benchmark.trial.resume import ResumeFiles, State, UnfitStateError, random_state, restore_random_state
from benchmark.trial.seeding import Seeds
from benchmark.trial.selection import choose, kept_epochs
from benchmark.trial.train_step import Trainer

Predictions = dict[str, npt.NDArray[Any]]
Scores = dict[str, dict[str, float | None]]

logger = logging.getLogger(__name__)


class StoppedError(Exception):
    """The user asked to stop; the resume state is written."""


class EpochProgress(TypedDict):
    """What is reported after every epoch.

    Attributes:
        epoch: number of the finished epoch, from 1.
        epochs: epochs of the trial.
        loss: mean training loss; may be not finite.
        metric: name of the dataset's metric.
        split: split of the score.
        value: the score; None if the outputs are not finite.
    """

    epoch: int
    epochs: int
    loss: float
    metric: str
    split: str
    value: float | None


Report = Callable[[EpochProgress], None]


@dataclass
class History:
    """What the epochs left.

    Attributes:
        curves: one point per epoch.
        logits: by evaluated split and epoch, (clips, classes) float32.
        targets: by evaluated split, (clips, classes).
        observed: by evaluated split, (clips, classes); 0 where a class was not annotated.
    """

    curves: list[Epoch] = field(default_factory=list)
    logits: dict[str, dict[int, torch.Tensor]] = field(default_factory=dict)
    targets: dict[str, torch.Tensor] = field(default_factory=dict)
    observed: dict[str, torch.Tensor] = field(default_factory=dict)

    def diverged(self, metric: str) -> bool:
        """Return True when the last epoch's loss or score is not finite."""
        end = self.curves[-1]
        return end.train_loss is None or end.splits["test"][metric] is None

    def prune(self, epochs: list[int]) -> None:
        """Drop the logits of all epochs but these."""
        for by_epoch in self.logits.values():
            for epoch in set(by_epoch) - set(epochs):
                del by_epoch[epoch]

    def state(self) -> State:
        """Return the content for the resume state."""
        return {
            "curves": [point.model_dump(mode="json") for point in self.curves],
            "logits": self.logits,
            "targets": self.targets,
            "observed": self.observed,
        }

    @classmethod
    def of(cls, state: State) -> History:
        """Return the history from a resume state."""
        curves = [Epoch.model_validate(point) for point in state["curves"]]
        return cls(curves, state["logits"], state["targets"], state["observed"])

    def predictions(self, request: TrialRequest, data: TrialData, info: DatasetInfo) -> Predictions:
        """Return the arrays stored beside the record: the names of the classes, and those of every evaluated split.

        They are clips and their groups, logits, targets, and what the metric is the mean of: by part and by clip.

        Args:
            request: the trial.
            data: its clips.
            info: facts of the dataset.
        """
        kept: Predictions = {"classes": np.array(info.classes)}
        for name, split in data.evaluation.items():
            kept["epochs"] = np.array(sorted(self.logits[name]))
            kept[f"clips_{name}"] = np.array([clip.path for clip in split.clips])
            kept[f"groups_{name}"] = np.array([clip.group for clip in split.clips])
            kept[f"targets_{name}"] = self.targets[name].numpy()
            kept[f"observed_{name}"] = self.observed[name].numpy()
            by_epoch = [logits for _, logits in sorted(self.logits[name].items())]
            kept[f"logits_{name}"] = torch.stack(by_epoch).numpy()
            truth = self.targets[name], self.observed[name], request.ranking, info.metric
            kept[f"parts_{name}"] = np.stack([parts(logits, *truth) for logits in by_epoch])
            kept[f"values_{name}"] = np.stack([by_clip(logits, *truth) for logits in by_epoch])
        return kept


class Fitted(NamedTuple):
    """What `fit` returns.

    Attributes:
        history: what the epochs left.
        resumed_epochs: epochs that an earlier, interrupted process had finished.
    """

    history: History
    resumed_epochs: int


def fit(
    request: TrialRequest,
    info: DatasetInfo,
    data: TrialData,
    trainer: Trainer,
    report: Report,
    *,
    resume_files: ResumeFiles | None = None,
    workers: int = 0,
    stop: Path | None = None,
    reported_split: Split = "test",
) -> Fitted:
    """Train for all epochs of the recipe, from the resume state if there is one, and evaluate after each.

    Training ends early when the loss is not finite.

    Args:
        request: recipe, protocol and seeds.
        info: facts of the dataset.
        data: clips of every split.
        trainer: model and optimizer.
        report: called after every epoch; an exception of it ends the training.
        resume_files: where the resume state is; None keeps none.
        workers: processes that may load data.
        stop: file whose presence asks to stop after the current epoch.
        reported_split: split whose score is reported.

    Raises:
        StoppedError: the user asked to stop; the resume state is written.
    """
    recipe, device = request.recipe, trainer.clock.device
    history = _resume(request, trainer, resume_files)
    resumed = len(history.curves)
    order = TrainingOrder(data.data.used["train"], recipe.batch_size, recipe.mixup)
    readers = DataWorkers.of(data.splits["train"], data.loaders(workers), device)
    batches = training_batches(data.splits["train"], order, readers, device)
    held_out = {
        name: evaluation_batches(clips, recipe.batch_size, readers, device) for name, clips in data.evaluation.items()
    }
    seeds = Seeds(request)
    for epoch in range(resumed + 1, recipe.epochs + 1):
        seconds_before = dict(trainer.clock.seconds)
        order.set_epoch(seeds.order(epoch), seeds.draws(epoch))
        loss = trainer.train(batches)
        scores = _evaluate(request, trainer, held_out, history, epoch)
        history.curves.append(_curve_point(trainer, epoch, loss, scores, seconds_before))
        if math.isfinite(loss):
            trainer.schedule.after_epoch()
            if epoch < recipe.epochs and resume_files:
                history.prune(kept_epochs(choose(request, info, history.curves, diverged=False), epoch))
                _save(trainer, history, resume_files)
        report(
            EpochProgress(
                epoch=epoch,
                epochs=recipe.epochs,
                loss=loss,
                metric=info.metric,
                split=reported_split,
                value=scores[reported_split][info.metric],
            )
        )
        if stop is not None and stop.exists() and epoch < recipe.epochs and resume_files:
            raise StoppedError(f"stopped after epoch {epoch}")
        if not math.isfinite(loss):
            logger.info("%s: the loss is not finite in epoch %d; training ends", request.label, epoch)
            break
    return Fitted(history, resumed)


def _evaluate(
    request: TrialRequest, trainer: Trainer, held_out: Mapping[str, Iterable[Batch]], history: History, epoch: int
) -> Scores:
    """Evaluate all held-out splits, keep the outputs in `history`, and return the metrics by split."""
    rule = request.ranking
    scores = {}
    for name, batches in held_out.items():
        logits, history.targets[name], history.observed[name] = trainer.predict(batches)
        history.logits.setdefault(name, {})[epoch] = logits
        scores[name] = evaluate(logits, history.targets[name], history.observed[name], rule)
    return scores


def _curve_point(
    trainer: Trainer, epoch: int, loss: float, scores: Scores, seconds_before: Mapping[str, float]
) -> Epoch:
    seconds = trainer.clock.seconds
    return Epoch(
        epoch=epoch,
        lr=trainer.schedule.applied,
        train_loss=loss if math.isfinite(loss) else None,
        splits=scores,
        seconds={key: seconds[key] - seconds_before[key] for key in ("data", "train", "eval")},
    )


def written_by(trainer: Trainer) -> str:
    """Return what must be equal for a trial to continue: an epoch elsewhere would give other numbers."""
    return f"numerics version {NUMERICS_VERSION}, {trainer.clock.device.type}, {trainer.precision.name}"


def _resume(request: TrialRequest, trainer: Trainer, resume_files: ResumeFiles | None) -> History:
    """Load the resume state into trainer and generators and return its history; an empty history without a state."""
    state = resume_files.load(written_by(trainer)) if resume_files else None
    if state is None:
        return History()
    try:
        trainer.load_state(state["trainer"])
    except UnfitStateError as error:
        logger.warning("%s: its resume state is not used, it begins again with epoch 1: %s", request.label, error)
        return History()
    restore_random_state(state["random"])
    history = History.of(state["history"])
    logger.info("%s: continues after epoch %d", request.label, len(history.curves))
    return history


def _save(trainer: Trainer, history: History, resume_files: ResumeFiles) -> None:
    resume_files.save(
        {
            "written_by": written_by(trainer),
            "history": history.state(),
            "trainer": trainer.state(),
            "random": random_state(),
        }
    )
