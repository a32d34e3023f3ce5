"""A model for a trial: architecture, backbone weights, head."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import torch
from torch import nn

from benchmark.errors import BenchmarkError
from benchmark.models.checkpoint import Checkpoint
from benchmark.models.layouts import IMAGENET_CLASSES
from benchmark.models.positional import adapt_positional
from benchmark.models.transformer import AudioTransformer, ModelConfig
from benchmark.spec.backbone import BackboneChoice
from benchmark.spec.protocol import Protocol
from benchmark.spec.recipe import Recipe


def model_config(backbone: BackboneChoice, recipe: Recipe, protocol: Protocol, classes: int) -> ModelConfig:
    """The architecture that backbone, recipe and protocol ask for."""
    return ModelConfig(
        shape=backbone.shape,
        mels=recipe.mels,
        frames=recipe.frames,
        stride=recipe.stride,
        classes=classes,
        pooling=backbone.pooling if protocol.ssast_pooling == "patches" else "cls",
        prompts=protocol.prompts,
    )


def build_backbone(
    config: ModelConfig, backbone: BackboneChoice, *, checkpoint: Checkpoint | None, weights_seed: int
) -> AudioTransformer:
    """The model with its backbone's weights in place.

    Args:
        config: the architecture.
        backbone: size and pre-training grid.
        checkpoint: the weights, None for random ones.
        weights_seed: of random weights.

    Raises:
        BenchmarkError: the checkpoint is of another size than the backbone.
    """
    if checkpoint is None:
        return _random_backbone(config, backbone.grid, weights_seed)
    if checkpoint.shape != backbone.shape:
        raise BenchmarkError(
            f"the checkpoint has {checkpoint.shape}, but {backbone.variant} has {backbone.shape}; "
            "choose the size that fits, as in ssast[size=tiny]"
        )
    return from_checkpoint(config, checkpoint)


def from_checkpoint(config: ModelConfig, checkpoint: Checkpoint) -> AudioTransformer:
    """The model with a checkpoint's backbone, its positional embedding adapted to `config`'s grid.

    The checkpoint's size, class tokens and epsilons take the place of those in `config`.
    """
    config = dataclasses.replace(
        config,
        shape=checkpoint.shape,
        distilled=checkpoint.distilled,
        norm_eps=checkpoint.norm_eps,
        head_norm_eps=checkpoint.head_norm_eps,
    )
    with torch.random.fork_rng(devices=[]):  # the draws that follow are overwritten
        model = AudioTransformer(config)
    _load(model, checkpoint.tensors, checkpoint.grid)
    return model


def _random_backbone(config: ModelConfig, grid: tuple[int, int], seed: int) -> AudioTransformer:
    """Random weights, drawn on the pre-training grid so that they take the path that pre-trained ones take.

    The caller's random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AudioTransformer(config)
        positions = torch.empty(1, config.prefix + math.prod(grid), model.width)
        nn.init.trunc_normal_(positions, std=0.02)
    _load(model, {**model.backbone_tensors(), "v.pos_embed": positions}, grid)
    return model


def _load(model: AudioTransformer, tensors: Mapping[str, torch.Tensor], grid: tuple[int, int]) -> None:
    positions = adapt_positional(tensors["v.pos_embed"], grid, model.config.grid, model.config.prefix)
    model.load_backbone({**tensors, "v.pos_embed": positions})


def init_head(model: AudioTransformer, seed: int) -> None:
    """Fresh head, the same for every method of a trial: normal(std 0.01) weight, uniform bias.

    Source: AAT@dc406ad src/models/ast_models.py.
    """
    norm, linear = model.mlp_head
    assert isinstance(norm, nn.LayerNorm)
    assert isinstance(linear, nn.Linear)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        norm.reset_parameters()
        linear.reset_parameters()
        nn.init.trunc_normal_(linear.weight, std=0.01)


def unused_head_parameters(width: int, *, distilled: bool = True) -> int:
    """Parameters of the 1000-way heads that the official model carries and never uses, one a class token (D23)."""
    return (2 if distilled else 1) * (width * IMAGENET_CLASSES + IMAGENET_CLASSES)
