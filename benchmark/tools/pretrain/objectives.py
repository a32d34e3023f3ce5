"""Objectives of pre-training, and the values that measure progress."""

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
from benchmark.trial.loss import loss_of

Values = dict[str, torch.Tensor]


class Task(nn.Module, ABC):
    """A model in pre-training, with its loss."""

    @property
    @abstractmethod
    def backbone(self) -> AudioTransformer:
        """Return the model that fine-tuning starts from."""

    @abstractmethod
    def measure(self, batch: Batch, rng: np.random.Generator) -> Values:
        """Return means over a batch by name; `loss` is minimized.

        Args:
            batch: features, targets and weights of the targets.
            rng: for random masks.
        """


class Tagging(Task):
    """Supervised, as AST: cross-entropy over the classes, or binary cross-entropy for several labels per clip."""

    def __init__(self, run: Pretraining, *, multi_label: bool) -> None:
        super().__init__()
        self.model = AudioTransformer(model_config(run))
        init_head(self.model, run.seed)
        self.multi_label = multi_label

    @property
    def backbone(self) -> AudioTransformer:
        """Return the model, including its tagging head."""
        return self.model

    def measure(self, batch: Batch, rng: np.random.Generator) -> Values:
        """Return the loss, and for single labels the accuracy; see `Task.measure`."""
        features, targets, observed = batch
        logits = self.model(features)
        values = {"loss": loss_of(logits, targets, observed, "bce" if self.multi_label else "cross_entropy")}
        if not self.multi_label:
            values["accuracy"] = (logits.argmax(1) == targets.argmax(1)).float().mean()
        return values


class Masked(Task):
    """Self-supervised, as SSAST: masked-patch classification and reconstruction."""

    def __init__(self, run: Pretraining) -> None:
        super().__init__()
        self.masked = MaskedPatches(AudioTransformer(model_config(run)))

    @property
    def backbone(self) -> AudioTransformer:
        """Return the model without mask vector and prediction heads."""
        return self.masked.model

    def measure(self, batch: Batch, rng: np.random.Generator) -> Values:
        """Return the joint loss, its parts, and the accuracy of masked-patch classification; see `Task.measure`."""
        losses = self.masked(batch[0], rng)
        return {
            "loss": losses.joint,
            "contrastive": losses.contrastive,
            "generative": losses.generative,
            "accuracy": losses.accuracy,
        }


def make_task(run: Pretraining, *, multi_label: bool) -> Task:
    """Create the model with new weights, drawn from torch's generator.

    Raises:
        ValueError: patches overlap where they must not.
    """
    return Masked(run) if run.objective == "ssast" else Tagging(run, multi_label=multi_label)


def model_config(run: Pretraining) -> ModelConfig:
    """Return the architecture."""
    return ModelConfig(shape=run.shape, mels=MELS, frames=run.frames, stride=run.stride, classes=max(1, run.classes))
