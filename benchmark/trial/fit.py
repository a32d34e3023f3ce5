"""The epochs of a trial: train, evaluate, keep what the record needs; interrupted ones go on where they stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.loader import TrainingOrder, evaluation_batches, training_batches
from benchmark.data.manifest import Split
from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.schema import Epoch
from benchmark.spec.request import TrialRequest
from benchmark.trial.data import TrialData
from benchmark.trial.metrics import evaluate, parts, ranking
from benchmark.trial.resume import ResumeFiles, State, random_state, restore_random_state
from benchmark.trial.seeding import Seeds
from benchmark.trial.selection import choose, kept_epochs
from benchmark.trial.train_step import Trainer

WRITTEN_BY = f"numerics version {NUMERICS_VERSION}"  # of the checkpoints that may be continued
Report = Callable[[dict[str, Any]], None]
Predictions = dict[str, npt.NDArray[Any]]


class StoppedError(Exception):
    """The user asked to stop; the checkpoint is written."""


@dataclass
class History:
    """What the epochs left: curves, and by evaluated split the logits by epoch, targets, observed classes."""

    curves: list[Epoch] = field(default_factory=list)
    logits: dict[str, dict[int, torch.Tensor]] = field(default_factory=dict)
    targets: dict[str, torch.Tensor] = field(default_factory=dict)
    observed: dict[str, torch.Tensor] = field(default_factory=dict)

    def diverged(self, metric: str) -> bool:
        """The last epoch's loss or score is not finite."""
        end = self.curves[-1]
        return end.train_loss is None or end.splits["test"][metric] is None

    def prune(self, epochs: list[int]) -> None:
        """Keep the logits of some epochs only."""
        for by_epoch in self.logits.values():
            for epoch in set(by_epoch) - set(epochs):
                del by_epoch[epoch]

    def state(self) -> State:
        """For a checkpoint."""
        return {
            "curves": [point.model_dump(mode="json") for point in self.curves],
            "logits": self.logits,
            "targets": self.targets,
            "observed": self.observed,
        }

    @classmethod
    def of(cls, state: State) -> History:
        """From a checkpoint."""
        curves = [Epoch.model_validate(point) for point in state["curves"]]
        return cls(curves, state["logits"], state["targets"], state["observed"])

    def predictions(self, request: TrialRequest, inputs: TrialData, metric: Literal["accuracy", "map"]) -> Predictions:
        """What is stored beside the record: of every evaluated split logits, truth, and what the metric averages."""
        kept: Predictions = {}
        for name, split in inputs.evaluation.items():
            kept["epochs"] = np.array(sorted(self.logits[name]))
            kept[f"clips_{name}"] = np.array([clip.path for clip in split.clips])
            kept[f"targets_{name}"] = self.targets[name].numpy()
            kept[f"observed_{name}"] = self.observed[name].numpy()
            every = [logits for _, logits in sorted(self.logits[name].items())]
            kept[f"logits_{name}"] = torch.stack(every).numpy()
            truth = self.targets[name], self.observed[name], ranking(request), metric
            kept[f"parts_{name}"] = np.stack([parts(logits, *truth) for logits in every])
        return kept


@dataclass(frozen=True)
class Runner:
    """Runs the epochs of a trial.

    `stop` is a file whose presence asks to stop behind the running epoch; `workers` are processes that load data;
    `told` is the split whose score is reported after every epoch.
    """

    request: TrialRequest
    info: DatasetInfo
    inputs: TrialData
    trainer: Trainer
    snapshots: ResumeFiles | None
    workers: int
    stop: Path | None
    report: Report
    told: Split = "test"

    def run(self) -> tuple[History, int]:
        """Train from the last checkpoint, or from the start; returns the history and the epochs that were there.

        Raises:
            StoppedError: asked to.
        """
        trainer, recipe, device = self.trainer, self.request.recipe, self.trainer.clock.device
        history = self._resume()
        resumed = len(history.curves)
        order = TrainingOrder(self.inputs.data.used["train"], recipe.batch_size, recipe.mixup)
        batches = training_batches(self.inputs.splits["train"], order, self.workers, device)
        held_out = {
            name: evaluation_batches(clips, recipe.batch_size, self.workers, device)
            for name, clips in self.inputs.evaluation.items()
        }
        rule = ranking(self.request)
        seeds, clock, metric = Seeds(self.request), trainer.clock, self.info.metric
        for epoch in range(resumed + 1, recipe.epochs + 1):
            before = dict(clock.seconds)
            order.set_epoch(seeds.order(epoch), seeds.draws(epoch))
            loss = trainer.train(batches)
            results = {}
            for name, split in held_out.items():
                logits, history.targets[name], history.observed[name] = trainer.predict(split)
                history.logits.setdefault(name, {})[epoch] = logits
                results[name] = evaluate(logits, history.targets[name], history.observed[name], rule)
            finite = math.isfinite(loss)
            history.curves.append(
                Epoch(
                    epoch=epoch,
                    lr=trainer.schedule.applied,
                    train_loss=loss if finite else None,
                    splits=results,
                    seconds={key: clock.seconds[key] - before[key] for key in ("data", "train", "eval")},
                )
            )
            if finite:
                trainer.schedule.after_epoch()
                if epoch < recipe.epochs and self.snapshots:
                    history.prune(kept_epochs(choose(self.request, self.info, history.curves, diverged=False), epoch))
                    self._save(history, self.snapshots)
            told = {"epoch": epoch, "epochs": recipe.epochs, "loss": loss, "metric": metric, "split": self.told}
            self.report({**told, "value": results[self.told][metric]})
            if self.stop is not None and self.stop.exists() and epoch < recipe.epochs and self.snapshots:
                raise StoppedError(f"stopped behind epoch {epoch}")
            if not finite:
                break
        return history, resumed

    def _resume(self) -> History:
        state = self.snapshots.load(WRITTEN_BY) if self.snapshots else None
        if state is None:
            return History()
        self.trainer.load_state(state["trainer"])
        restore_random_state(state["random"])
        return History.of(state["history"])

    def _save(self, history: History, snapshots: ResumeFiles) -> None:
        snapshots.save(
            {
                "written_by": WRITTEN_BY,
                "history": history.state(),
                "trainer": self.trainer.state(),
                "random": random_state(),
            }
        )
