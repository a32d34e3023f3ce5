"""What is learnt in pre-training, and how its progress is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from benchmark.data.loader import Batch
from benchmark.models.build import init_head
from benchmark.models.masked import MaskedPatches
from benchmark.models.transformer import AudioTransformer, ModelConfig
from benchmark.spec.pretraining import MELS, Pretraining
from benchmark.trial.loop import loss_of

Values = dict[str, torch.Tensor]


class Task(nn.Module, ABC):
    """A model in pre-training: `backbone` is what is kept; names of values begin with what is trained on, `loss`."""

    backbone: AudioTransformer

    @abstractmethod
    def measure(self, batch: Batch, rng: np.random.Generator) -> Values:
        """Means over a batch; the loss first."""


class Tagging(Task):
    """Supervised, as AST: the classes of a clip; cross-entropy, or with several labels a clip binary cross-entropy."""

    def __init__(self, run: Pretraining, *, multi_label: bool) -> None:
        super().__init__()
        self.backbone = AudioTransformer(_config(run))
        init_head(self.backbone, run.seed)
        self.multi_label = multi_label

    def measure(self, batch: Batch, rng: np.random.Generator) -> Values:
        """Loss, and for single labels the accuracy."""
        features, targets, observed = batch
        logits = self.backbone(features)
        values = {"loss": loss_of(logits, targets, observed, "bce" if self.multi_label else "cross_entropy")}
        if not self.multi_label:
            values["accuracy"] = (logits.argmax(1) == targets.argmax(1)).float().mean()
        return values


class Masked(Task):
    """Self-supervised, as SSAST."""

    def __init__(self, run: Pretraining) -> None:
        super().__init__()
        self.masked = MaskedPatches(AudioTransformer(_config(run)))

    @property
    def backbone(self) -> AudioTransformer:  # type: ignore[override]
        """The model without mask vector and prediction heads."""
        return self.masked.model

    def measure(self, batch: Batch, rng: np.random.Generator) -> Values:
        """Joint loss, its parts, and the share of masked patches that were told from the others."""
        found = self.masked(batch[0], rng)
        return {
            "loss": found.joint,
            "contrastive": found.contrastive,
            "generative": found.generative,
            "accuracy": found.accuracy,
        }


def make_task(run: Pretraining, *, multi_label: bool) -> Task:
    """The model with fresh weights, a function of the seed alone.

    Raises:
        ValueError: patches overlap where they must not.
    """
    torch.manual_seed(run.seed)
    return Masked(run) if run.objective == "ssast" else Tagging(run, multi_label=multi_label)


def _config(run: Pretraining) -> ModelConfig:
    return ModelConfig(shape=run.shape, mels=MELS, frames=run.frames, stride=run.stride, classes=max(1, run.classes))


def floats(values: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """As Python's numbers."""
    return {name: float(value.detach()) for name, value in values.items()}
