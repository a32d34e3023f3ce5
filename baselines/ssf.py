"""SSF: scale and shift features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register("ssf", label="SSF", source="arXiv:2210.08823; github.com/dongzelian/SSF models/vision_transformer.py")
@dataclass(frozen=True, kw_only=True)
class SSF(Method):
    """A per-channel scale and shift after each linear layer, each LayerNorm and the patch projection.

    They can be merged into these layers. At initialization they are near 1 and 0, as in the official code.
    """

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Attach the scales and shifts and return their names."""
        from torch import Tensor  # not above: listing methods must not import torch

        from benchmark.models.linear import ScaleShift

        inner = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
        paths = [f"v.blocks.{index}.{path}" for index in range(len(model.blocks)) for path in inner]
        for path in ["v.patch_embed.proj", *paths, "v.norm"]:
            layer = model.get_submodule(path)
            assert isinstance(layer.weight, Tensor)
            yield from model.attach(path, "ssf", ScaleShift(len(layer.weight)), parallel=False)
