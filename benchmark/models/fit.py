"""Read a backbone's checkpoint once, before any trial: whether it fits, and what the request needs to know of it."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import BenchmarkError
from benchmark.models.build import require_fit
from benchmark.models.checkpoint import Checkpoint, needed_statements
from benchmark.models.class_checkpoint import read_weights
from benchmark.spec.backbone import SHAPES, STATED, BackboneChoice, Pretrained, Shape, load_backbone


@functools.lru_cache(maxsize=64)
def fit(choice: BackboneChoice, path: Path) -> BackboneChoice:
    """Return the choice with what its checkpoint says of itself: its shape, and its input in pre-training.

    The shape of a user's file is taken from the file, unless the choice names another than the default one. What the
    user states and the file shows is left out, so that a trial has one id however its checkpoint is written.

    Args:
        choice: with the digest of the checkpoint.
        path: of the checkpoint.

    Raises:
        BenchmarkError: the checkpoint cannot be read, holds numbers that are not finite, or is of another size or
            family than the backbone.
    """
    checkpoint = read_weights(choice, path)
    try:
        fitted = _with_shape(choice, checkpoint)
        require_fit(fitted, checkpoint)
    except BenchmarkError as error:
        raise BenchmarkError(f"{path}: {error}") from None
    require_finite(checkpoint, path)
    fitted = _without_redundant(fitted, checkpoint, path)
    pretrained = Pretrained(
        mels=checkpoint.mels,
        normalisation=checkpoint.normalisation,
        qkv_bias=checkpoint.qkv_bias,
        distilled=checkpoint.distilled,
        assumed=checkpoint.assumed if choice.chosen_weights else (),
        commit=choice.pretrained.commit if choice.pretrained else None,
    )
    return fitted.model_copy(update={"pretrained": None if pretrained == Pretrained() else pretrained})


def require_finite(checkpoint: Checkpoint, path: Path) -> None:
    """Check that all weights are finite, those of the head too.

    Raises:
        BenchmarkError: some are not; the message names the first tensors.
    """
    tensors = {**checkpoint.tensors, **checkpoint.head}
    broken = [name for name, tensor in tensors.items() if not math.isfinite(float(_sum(tensor)))]
    if broken:
        raise BenchmarkError(f"{path}: not finite: {', '.join(broken[:5])}")


def _sum(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum of absolute values, which is finite if all values are: in float64 it cannot overflow."""
    return tensor.abs().sum(dtype=torch.float64)


def _with_shape(choice: BackboneChoice, checkpoint: Checkpoint) -> BackboneChoice:
    """Return the choice of a user's file with the file's shape, if it does not name a shape itself."""
    shape = checkpoint.shape
    named = choice.size != load_backbone(choice.name).size or choice.width is not None or choice.depth is not None
    if named or choice.shape == shape or not choice.chosen_weights:
        return choice
    return choice.model_copy(update=_shape_fields(choice, shape))


def _without_redundant(choice: BackboneChoice, checkpoint: Checkpoint, path: Path) -> BackboneChoice:
    """Return a fitting choice of a user's file without what its file or its backbone says, too."""
    if not choice.chosen_weights:
        return choice
    given = [key for key in STATED if getattr(choice, key) is not None]
    if not given and choice.size == load_backbone(choice.name).size:
        return choice
    needed = needed_statements(path, choice.stated, checkpoint)
    choice = choice.model_copy(update=needed.model_dump())
    plain = choice.model_copy(update={"weights_of": None})
    if plain.weights_family == choice.weights_family:
        choice = plain
    return choice.model_copy(update=_shape_fields(choice, checkpoint.shape))


def _shape_fields(choice: BackboneChoice, shape: Shape) -> dict[str, Any]:
    """Return the only values of size, width, depth and heads that stand for a shape in a request.

    Stated heads stay a field of their own: the trial cannot read the file without them.
    """
    sizes = [size for size, known in SHAPES.items() if known == shape and choice.heads is None]
    if sizes:
        return {"size": sizes[0], "width": None, "depth": None, "heads": None}
    return {"size": load_backbone(choice.name).size, **shape.model_dump()}
