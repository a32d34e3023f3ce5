"""A model for a trial: architecture, backbone weights, head."""

from __future__ import annotations

import torch
from torch import nn

from benchmark.models.positional import adapt_positional
from benchmark.models.transformer import PREFIX, UNUSED_HEADS_CLASSES, AudioTransformer, ModelConfig
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


def build_backbone(config: ModelConfig, backbone: BackboneChoice, weights_seed: int) -> AudioTransformer:
    """The model with its backbone's weights in place.

    Random weights are drawn on the pre-training grid and adapted to the trial's, so that they take the path that
    pre-trained weights take. The caller's random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights_seed)
        model = AudioTransformer(config)
        f, t = backbone.grid
        pretrained = torch.empty(1, PREFIX + f * t, model.width)
        nn.init.trunc_normal_(pretrained, std=0.02)
    with torch.no_grad():
        model.v.pos_embed = nn.Parameter(adapt_positional(pretrained, backbone.grid, config.grid, PREFIX))
    return model


def init_head(model: AudioTransformer, seed: int) -> None:
    """Fresh head, the same for every method of a trial: normal(std 0.01) weight, uniform bias (SPEC section 2)."""
    norm, linear = model.mlp_head
    assert isinstance(norm, nn.LayerNorm)
    assert isinstance(linear, nn.Linear)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        norm.reset_parameters()
        linear.reset_parameters()
        nn.init.trunc_normal_(linear.weight, std=0.01)


def unused_head_parameters(width: int) -> int:
    """Parameters of the two 1000-way heads that the official model carries and never uses (defect D23)."""
    return 2 * (width * UNUSED_HEADS_CLASSES + UNUSED_HEADS_CLASSES)
