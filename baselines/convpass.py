"""Convpass: convolutional bypasses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register("convpass", label="Convpass", source="arXiv:2207.07039; github.com/JieShibo/PETL-ViT convpass")
@dataclass(frozen=True, kw_only=True)
class ConvpassMethod(Method):
    """A convolutional bottleneck over the patch grid, in parallel with every block's attention and MLP."""

    identity_at_start: ClassVar[bool] = True

    bottleneck: Annotated[int, Field(ge=1)] = 8
    scale: Annotated[float, Field(gt=0)] = 1

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert the bypasses and return their parameters' names."""
        from benchmark.models.convolution import Convpass  # not above: listing methods must not import torch

        for layer in model.layers:
            for site in ("attn_parallel", "mlp_parallel"):
                bypass = Convpass(model.width, self.bottleneck, model.token_grid, self.scale)
                yield from model.insert(site, layer, f"convpass_{site}", bypass)
