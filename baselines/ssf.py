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

        scaled = [path for layer in model.layers for path in model.scaled_layers(layer)]
        for path in [model.PROJECTION, *scaled, *model.final_norms()]:
            host = model.get_submodule(path)
            assert isinstance(host.weight, Tensor)
            yield from model.attach(path, "ssf", ScaleShift(len(host.weight)), parallel=False)
