"""What the epochs of a trial leave for its record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmark.data.dataset_info import DatasetInfo
from benchmark.records.schema import Epoch
from benchmark.spec.request import TrialRequest
from benchmark.trial.data import TrialData
from benchmark.trial.metrics import by_clip, parts
from benchmark.trial.resume import State

Predictions = dict[str, npt.NDArray[Any]]
Scores = dict[str, dict[str, float | None]]


@dataclass
class History:
    """What the epochs left.

    Attributes:
        curves: one point per epoch, with the scores of the splits that were evaluated after it.
        logits: by split and epoch after which it was evaluated, (clips, classes) float32.
        targets: by evaluated split, (clips, classes).
        observed: by evaluated split, (clips, classes); 0 where a class was not annotated.
        stopped_early: epoch after which early stopping ended training; None if it did not. Not part of the state, as
            no state is saved after the last epoch.
    """

    curves: list[Epoch] = field(default_factory=list)
    logits: dict[str, dict[int, torch.Tensor]] = field(default_factory=dict)
    targets: dict[str, torch.Tensor] = field(default_factory=dict)
    observed: dict[str, torch.Tensor] = field(default_factory=dict)
    stopped_early: int | None = None

    def diverged(self, metric: str, split: str) -> bool:
        """Return True when the last epoch's loss or its score on the reported split is not finite."""
        end = self.curves[-1]
        return end.train_loss is None or end.splits[split][metric] is None

    def prune(self, epochs: list[int]) -> None:
        """Drop the logits of all epochs but these."""
        for by_epoch in self.logits.values():
            for epoch in set(by_epoch) - set(epochs):
                del by_epoch[epoch]

    def state(self) -> State:
        """Return the content for the resume state; later epochs change nothing in it."""
        return {
            "curves": [point.model_dump(mode="json") for point in self.curves],
            "logits": {name: dict(by_epoch) for name, by_epoch in self.logits.items()},
            "targets": dict(self.targets),
            "observed": dict(self.observed),
        }

    @classmethod
    def of(cls, state: State) -> History:
        """Return the history from a resume state."""
        curves = [Epoch.model_validate(point) for point in state["curves"]]
        return cls(curves, state["logits"], state["targets"], state["observed"])

    def predictions(self, request: TrialRequest, data: TrialData, info: DatasetInfo) -> Predictions:
        """Return the arrays stored beside the record: the names of the classes, and those of every evaluated split.

        They are clips and their groups, logits, targets, and what the metric is the mean of: by part and by clip; of
        the epochs after which all splits were evaluated.

        Args:
            request: the trial.
            data: its clips.
            info: facts of the dataset.
        """
        epochs = sorted(set.intersection(*(set(self.logits[name]) for name in data.evaluation)))
        kept: Predictions = {"classes": np.array(info.classes), "epochs": np.array(epochs)}
        for name, split in data.evaluation.items():
            kept[f"clips_{name}"] = np.array([clip.path for clip in split.recordings])
            kept[f"groups_{name}"] = np.array([clip.group for clip in split.recordings])
            kept[f"targets_{name}"] = self.targets[name].numpy()
            kept[f"observed_{name}"] = self.observed[name].numpy()
            by_epoch = [self.logits[name][epoch] for epoch in epochs]
            kept[f"logits_{name}"] = torch.stack(by_epoch).numpy()
            truth = self.targets[name], self.observed[name], request.ranking, info.metric
            kept[f"parts_{name}"] = np.stack([parts(logits, *truth) for logits in by_epoch])
            kept[f"values_{name}"] = np.stack([by_clip(logits, *truth) for logits in by_epoch])
        return kept
