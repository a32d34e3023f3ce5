"""Objectives of pre-training, and the values that measure progress."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import nn

from benchmark.data.loader import Batch
from benchmark.errors import BenchmarkError
from benchmark.models.build import init_head
from benchmark.models.checkpoint import Checkpoint
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
    """Supervised, as AST: cross-entropy over the classes, or binary cross-entropy for several labels per clip.

    Steps can leave out some patches, the same of all their clips, which makes them faster: the unstructured patchout of
    PaSST (arXiv:2110.05069).
    """

    def __init__(self, run: Pretraining, *, multi_label: bool) -> None:
        super().__init__()
        self.model = AudioTransformer(model_config(run))
        init_head(self.model, run.seed)
        self.multi_label = multi_label
        self.patchout = run.patchout

    @property
    def backbone(self) -> AudioTransformer:
        """Return the model, including its tagging head."""
        return self.model

    def measure(self, batch: Batch, rng: np.random.Generator) -> Values:
        """Return the loss, and for single labels the accuracy; see `Task.measure`."""
        features, targets, observed = batch
        logits = self._without_some_patches(features, rng) if self.training and self.patchout else self.model(features)
        values = {"loss": loss_of(logits, targets, observed, "bce" if self.multi_label else "cross_entropy")}
        if not self.multi_label:
            values["accuracy"] = (logits.argmax(1) == targets.argmax(1)).float().mean()
        return values

    def _without_some_patches(self, features: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """(B, frames, mels) -> (B, classes); the patches that stay keep their positions."""
        model = self.model
        tokens = model.embed(model.patches(features))
        prefix = model.config.prefix
        patches = tokens.shape[1] - prefix
        kept = np.sort(rng.permutation(patches)[: max(1, round(patches * (1 - self.patchout)))])
        chosen = torch.from_numpy(np.concatenate([np.arange(prefix), prefix + kept])).to(tokens.device)
        return model.head(model.pool(model.v.norm(model.run_blocks(tokens[:, chosen]))))


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


def make_task(run: Pretraining, *, multi_label: bool, start: Checkpoint | None = None) -> Task:
    """Create the model with new weights, drawn from torch's generator, or with those of a checkpoint.

    Prediction heads are new. A checkpoint's tagging head is kept if it has as many classes.

    Args:
        run: settings of the pre-training.
        multi_label: whether clips have several labels.
        start: the checkpoint; None for new weights.

    Raises:
        BenchmarkError: the checkpoint has another architecture.
        ValueError: patches overlap where they must not.
    """
    task = Masked(run) if run.objective == "ssast" else Tagging(run, multi_label=multi_label)
    if start is not None:
        _require_same(run, start)
        model = task.backbone
        model.load_backbone(model.fit_grid(start.tensors, start.grid))
        head = model.mlp_head.state_dict(prefix="mlp_head.")
        if {name: tensor.shape for name, tensor in head.items()} == {n: t.shape for n, t in start.head.items()}:
            model.load_state_dict(start.head, strict=False)
    return task


def _require_same(run: Pretraining, start: Checkpoint) -> None:
    """Check that a checkpoint has the architecture of AST and SSAST, and the size that is trained."""
    if start.shape != run.shape:
        raise BenchmarkError(f"--init: the checkpoint has {start.shape}, but --size {run.size} has {run.shape}")
    if not (start.distilled and start.qkv_bias and start.final_norm) or start.mels not in {None, MELS}:
        raise BenchmarkError(
            f"--init: the checkpoint ({start.layout}) has another architecture; AST's with two class tokens and "
            f"{MELS} mel bands is needed"
        )


def model_config(run: Pretraining) -> ModelConfig:
    """Return the architecture."""
    return ModelConfig(shape=run.shape, mels=MELS, frames=run.frames, stride=run.stride, classes=max(1, run.classes))
