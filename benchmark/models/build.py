"""Build a trial's model: architecture, backbone weights, head."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from benchmark.errors import BenchmarkError
from benchmark.models.abstract import abstract_tensors
from benchmark.models.checkpoint import Checkpoint
from benchmark.models.checkpoint_layout import IMAGENET_CLASSES
from benchmark.models.contract import OVERWRITTEN_FROM, ModelConfig
from benchmark.models.outside import require_same
from benchmark.models.registry import model_class
from benchmark.models.transformer import AudioTransformer
from benchmark.spec.backbone import AST, SSAST, BackboneChoice, Pretrained, published_family
from benchmark.spec.protocol import Protocol
from benchmark.spec.recipe import Recipe


def model_config(backbone: BackboneChoice, recipe: Recipe, protocol: Protocol, classes: int) -> ModelConfig:
    """Return the architecture of a trial.

    Args:
        backbone: size, pooling, and what its checkpoint says of itself.
        recipe: input size and patch stride.
        protocol: pooling and prompts.
        classes: outputs of the head.
    """
    known, architecture = backbone.pretrained or Pretrained(), backbone.stated_architecture
    class_tokens = min(architecture.class_tokens, 2 if known.distilled else 1)
    return ModelConfig(
        shape=backbone.shape,
        mels=recipe.mels,
        frames=recipe.frames,
        stride=recipe.stride,
        classes=classes,
        pooling=backbone.pooled_tokens(protocol.ssast_pooling),
        prompts=protocol.prompts,
        # only AST and SSAST have official code with prompts, whose defect D26 is kept
        overwritten_from=class_tokens if backbone.other_architecture else OVERWRITTEN_FROM,
        qkv_bias=known.qkv_bias,
        # half-precision logits tie; the official code has them, in float16
        float32_logits=protocol.eval_precision == "training" or recipe.precision == "bf16",
        head_dropout=recipe.head_dropout,
        **{**architecture.of_model(), "class_tokens": class_tokens},
    )


def bare_model(backbone: BackboneChoice, config: ModelConfig) -> AudioTransformer:
    """Return a model of the backbone's class, with whatever weights it is made with.

    Raises:
        BenchmarkError: the class is not the one that the trial was planned with.
    """
    require_same(backbone)
    return model_class(backbone.name)(config)


def build_backbone(
    config: ModelConfig, backbone: BackboneChoice, *, checkpoint: Checkpoint | None, weights_seed: int
) -> AudioTransformer:
    """Return the model with its backbone's weights.

    Args:
        config: the architecture.
        backbone: size and pre-training grid.
        checkpoint: the weights; None for random weights.
        weights_seed: seed of random weights.

    Raises:
        BenchmarkError: the checkpoint has another size than the backbone, or is of another family.
    """
    if checkpoint is None:
        return _random_backbone(config, backbone, weights_seed)
    require_same(backbone)
    require_fit(backbone, checkpoint)
    return from_checkpoint(config, checkpoint, model_class(backbone.name))


def require_fit(backbone: BackboneChoice, checkpoint: Checkpoint) -> None:
    """Check that a checkpoint has the backbone's size and family.

    Raises:
        BenchmarkError: it does not; the message says how to name it.
    """
    name = backbone.variant
    if checkpoint.shape != backbone.shape:
        raise BenchmarkError(
            f"the checkpoint has {checkpoint.shape}, but {name} has {backbone.shape}; "
            "choose the size that fits, as in ssast[size=tiny]"
        )
    family = checkpoint.family or published_family(backbone.sha256)
    if family is None or family == backbone.weights_family:
        return
    if backbone.weights_of is not None:
        raise BenchmarkError(
            f"{name}: the checkpoint is of the family {family}, but weights_of={backbone.weights_of} is stated"
        )
    if {family, backbone.weights_family} != {AST, SSAST}:  # whose architectures are equal
        raise BenchmarkError(
            f"{name}: the checkpoint ({checkpoint.layout}) is of the family {family}: name it {family}[weights=FILE]"
        )
    raise BenchmarkError(
        f"{name}: the checkpoint ({checkpoint.layout}) is of the family {family}: name it {family}[weights=FILE], or, "
        f"if {family} weights in {backbone.name} ({backbone.pretraining}, {backbone.pooling} pooling) are meant, "
        f"{backbone.name}[weights=FILE;weights_of={family}]"
    )


def from_checkpoint(
    config: ModelConfig, checkpoint: Checkpoint, kind: type[AudioTransformer] = AudioTransformer
) -> AudioTransformer:
    """Return the model with a checkpoint's backbone, whose positional embedding is adapted to the grid of `config`.

    The checkpoint's size, class tokens and epsilons replace those of `config`. The head is random.

    Args:
        config: the architecture.
        checkpoint: the weights.
        kind: class of the model.
    """
    config = dataclasses.replace(
        config,
        final_norm=checkpoint.final_norm,
        shape=checkpoint.shape,
        class_tokens=min(config.class_tokens, 2 if checkpoint.distilled else 1),
        norm_eps=checkpoint.norm_eps,
        head_norm_eps=checkpoint.head_norm_eps,
        qkv_bias=checkpoint.qkv_bias,
    )
    with abstract_tensors():  # random weights would be overwritten
        model = kind(config)
    model.to_empty(device="cpu")
    init_head(model, seed=0)
    model.load_backbone(model.fit_grid(checkpoint.tensors, checkpoint.grid))
    return model


def _random_backbone(config: ModelConfig, backbone: BackboneChoice, seed: int) -> AudioTransformer:
    """Return a model with random weights; the caller's random state stays.

    They are drawn on the pre-training grid and adapted like pre-trained weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = bare_model(backbone, config)
        tensors = model.random_tensors(backbone.grid)
    model.load_backbone(model.fit_grid(tensors, backbone.grid))
    return model


def init_head(model: AudioTransformer, seed: int) -> None:
    """Initialize the head, equally for every method: truncated normal weight (std 0.01), uniform bias.

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


def unused_head_parameters(width: int, *, heads: int = 2) -> int:
    """Return the parameters of the official model's unused 1000-way heads, one per class token (defect D23)."""
    return heads * (width * IMAGENET_CLASSES + IMAGENET_CLASSES)
