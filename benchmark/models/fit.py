"""Read a backbone's checkpoint once, before any trial: whether it fits, and what the request needs to know of it."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import torch

from benchmark.errors import BenchmarkError
from benchmark.models.build import require_fit
from benchmark.models.checkpoint import Checkpoint, read_checkpoint
from benchmark.spec.backbone import SHAPES, BackboneChoice, Pretrained, load_backbone


@functools.lru_cache(maxsize=64)
def fit(choice: BackboneChoice, path: Path) -> BackboneChoice:
    """Return the choice with what its checkpoint says of itself: its shape, and its input in pre-training.

    The shape of a user's file is taken from the file, unless the choice names another than the default one.

    Args:
        choice: with the digest of the checkpoint.
        path: of the checkpoint.

    Raises:
        BenchmarkError: the checkpoint cannot be read, holds numbers that are not finite, or is of another size or
            family than the backbone.
    """
    checkpoint = read_checkpoint(path, choice.stated)
    try:
        fitted = _with_shape(choice, checkpoint)
        require_fit(fitted, checkpoint)
    except BenchmarkError as error:
        raise BenchmarkError(f"{path}: {error}") from None
    require_finite(checkpoint, path)
    pretrained = Pretrained(
        mels=checkpoint.mels,
        normalisation=checkpoint.normalisation,
        qkv_bias=checkpoint.qkv_bias,
        distilled=checkpoint.distilled,
        assumed=checkpoint.assumed if choice.weights.startswith("file:") else (),
    )
    return fitted if pretrained == Pretrained() else fitted.model_copy(update={"pretrained": pretrained})


def require_finite(checkpoint: Checkpoint, path: Path) -> None:
    """Check that all weights are finite.

    Raises:
        BenchmarkError: some are not; the message names the first tensors.
    """
    broken = [name for name, tensor in checkpoint.tensors.items() if not math.isfinite(float(_sum(tensor)))]
    if broken:
        raise BenchmarkError(f"{path}: not finite: {', '.join(broken[:5])}")


def _sum(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum of absolute values, which is finite if all values are: in float64 it cannot overflow."""
    return tensor.abs().sum(dtype=torch.float64)


def _with_shape(choice: BackboneChoice, checkpoint: Checkpoint) -> BackboneChoice:
    """Return the choice of a user's file with the file's shape, if it does not name a shape itself."""
    shape = checkpoint.shape
    named = choice.size != load_backbone(choice.name).size or choice.width is not None or choice.depth is not None
    if named or choice.shape == shape or not choice.weights.startswith("file:"):
        return choice
    if size := next((size for size, known in SHAPES.items() if known == shape and choice.heads is None), None):
        return choice.model_copy(update={"size": size})
    return choice.model_copy(update=shape.model_dump())
