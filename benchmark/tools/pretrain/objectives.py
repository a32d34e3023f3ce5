"""What is learnt in pre-training, and how its progress is told."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import nn

from benchmark.data.loader import Batch
from benchmark.models.build import init_head
from benchmark.models.masked import MaskedPatches
from benchmark.models.transformer import AudioTransformer, ModelConfig
from benchmark.spec.pretraining import MELS, Pretraining
from benchmark.trial.train_step import loss_of

Values = dict[str, torch.Tensor]


class Task(nn.Module, ABC):
    """A model in pre-training; the first of its values, `loss`, is what is trained on."""

    @property
    @abstractmethod
    def backbone(self) -> AudioTransformer:
        """What fine-tuning starts from."""

    @abstractmethod
    def measure(self, batch: Batch, rng: np.random.Generator) -> Values:
        """Means over a batch; the loss first."""


class Tagging(Task):
    """Supervised, as AST: the classes of a clip; cross-entropy, or with several labels a clip binary cross-entropy."""

    def __init__(self, run: Pretraining, *, multi_label: bool) -> None:
        super().__init__()
        self.model = AudioTransformer(model_config(run))
        init_head(self.model, run.seed)
        self.multi_label = multi_label

    @property
    def backbone(self) -> AudioTransformer:
        """The model, whose tagging head is kept too."""
        return self.model

    def measure(self, batch: Batch, rng: np.random.Generator) -> Values:
        """Loss, and for single labels the accuracy."""
        features, targets, observed = batch
        logits = self.model(features)
        values = {"loss": loss_of(logits, targets, observed, "bce" if self.multi_label else "cross_entropy")}
        if not self.multi_label:
            values["accuracy"] = (logits.argmax(1) == targets.argmax(1)).float().mean()
        return values


class Masked(Task):
    """Self-supervised, as SSAST."""

    def __init__(self, run: Pretraining) -> None:
        super().__init__()
        self.masked = MaskedPatches(AudioTransformer(model_config(run)))

    @property
    def backbone(self) -> AudioTransformer:
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
    """The model with fresh weights, drawn from torch's generator.

    Raises:
        ValueError: patches overlap where they must not.
    """
    return Masked(run) if run.objective == "ssast" else Tagging(run, multi_label=multi_label)


def model_config(run: Pretraining) -> ModelConfig:
    """The architecture."""
    return ModelConfig(shape=run.shape, mels=MELS, frames=run.frames, stride=run.stride, classes=max(1, run.classes))
