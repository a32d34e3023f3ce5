"""Train and evaluate a trial epoch by epoch, keeping what its record needs; an interrupted trial continues."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypedDict

from benchmark.data.loader import evaluation_batches, training_batches
from benchmark.data.workers import DataWorkers
from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.schema import Epoch
from benchmark.spec.request import TrialRequest
from benchmark.trial.assemble import Assembled
from benchmark.trial.banks import room_for_outputs
from benchmark.trial.data import training_order
from benchmark.trial.evaluation import Evaluation
from benchmark.trial.history import History, Scores
from benchmark.trial.resume import ResumeFiles, UnfitStateError, random_state, restore_random_state
from benchmark.trial.seeding import Seeds
from benchmark.trial.selection import choose, kept_epochs
from benchmark.trial.setting import Setting
from benchmark.trial.shared_features import SharedFeatures
from benchmark.trial.state_saver import StateSaver
from benchmark.trial.train_step import Trainer

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
        scores: the metric by split that was evaluated after this epoch; None if the outputs are not finite.
    """

    epoch: int
    epochs: int
    loss: float
    metric: str
    scores: dict[str, float | None]


Report = Callable[[EpochProgress], None]


class Fitted(NamedTuple):
    """What `fit` returns.

    Attributes:
        history: what the epochs left.
        resumed_epochs: epochs that an earlier, interrupted process had finished.
        shares_features: whether the input of the head was computed once for several trials.
    """

    history: History
    resumed_epochs: int
    shares_features: bool


def fit(
    request: TrialRequest,
    parts: Assembled,
    setting: Setting,
    report: Report,
    resume_files: ResumeFiles | None = None,
) -> Fitted:
    """Train for all epochs of the recipe, from the resume state if there is one, and evaluate what counts after each.

    Training ends early when the loss is not finite, and when the recipe's patience with the validation score ends. The
    resume state is saved now and then, and when the user stops.

    Args:
        request: recipe, protocol and seeds.
        parts: model and data.
        setting: where it runs.
        report: called after every epoch; an exception of it ends the training.
        resume_files: where the resume state is; None keeps none.

    Raises:
        StoppedError: the user asked to stop; the resume state is written.
    """
    recipe, trainer, data = request.recipe, parts.trainer, parts.data
    device = trainer.clock.device
    history = _resume(request, trainer, resume_files)
    resumed = len(history.curves)
    order = training_order(request, data.splits["train"])
    readers = DataWorkers.of(data.splits["train"], data.loaders(setting.workers), device)
    batches = training_batches(data.splits["train"], order, readers, device)
    held_out = {
        name: evaluation_batches(clips, recipe.batch_size, readers, device, setting.eval_factor)
        for name, clips in data.evaluation.items()
    }
    shared = SharedFeatures.of(request, trainer, setting)
    evaluation = Evaluation(
        request,
        parts.info,
        trainer,
        held_out,
        test_curves=setting.options.test_curves,
        kept_bytes=room_for_outputs(setting, device),
    )
    seeds = Seeds(request)
    with StateSaver(resume_files, setting.options.resume_seconds, in_background=device.type == "cuda") as saver:
        for epoch in range(resumed + 1, recipe.epochs + 1):
            seconds_before = dict(trainer.clock.seconds)
            order.set_epoch(seeds.order(epoch), seeds.draws(epoch))
            loss = shared.train(epoch, batches) if shared else trainer.train(batches)
            is_last = epoch == recipe.epochs or not math.isfinite(loss)
            scores = evaluation.after_epoch(history, epoch, is_last=is_last)
            stops = not is_last and evaluation.stops(history, scores)
            is_last = is_last or stops
            history.curves.append(_curve_point(trainer, epoch, loss, scores, seconds_before))
            if math.isfinite(loss):
                trainer.schedule.after_epoch()
            if not is_last:
                history.prune(kept_epochs(choose(request, parts.info, history.curves, diverged=False), epoch))
            if is_saved := not is_last and saver.is_due:
                _save(trainer, history, saver)
            report(_progress(epoch, recipe.epochs, loss, parts.info.metric, scores))
            if not math.isfinite(loss):
                logger.info("%s: the loss is not finite in epoch %d; training ends", request.label, epoch)
            if stops:
                history.stopped_early = epoch
                logger.info("%s: no better score for %s epochs; training ends", request.label, recipe.early_stop)
            if is_last:
                break
            if setting.asked_to_stop and resume_files:
                if not is_saved:
                    _save(trainer, history, saver)
                saver.wait()
                raise StoppedError(f"stopped after epoch {epoch}")
    if shared:
        shared.finish(request.id, setting.sharers)
    return Fitted(history, resumed, shares_features=shared is not None)


def _progress(epoch: int, epochs: int, loss: float, metric: str, scores: Scores) -> EpochProgress:
    by_split = {split: values[metric] for split, values in scores.items()}
    return EpochProgress(epoch=epoch, epochs=epochs, loss=loss, metric=metric, scores=by_split)


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


def _save(trainer: Trainer, history: History, saver: StateSaver) -> None:
    finished = {"written_by": written_by(trainer), "history": history.state(), "random": random_state()}
    saver.save(finished, {"trainer": trainer.state()})
