"""Sequential adapters after the MLP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register("pfeiffer", label="Pfeiffer adapter", source="arXiv:2005.00247")
@dataclass(frozen=True, kw_only=True)
class Pfeiffer(Method):
    """A residual adapter with ReLU after the MLP of every block; here it is the identity at initialization.

    `bottleneck` is the adapters' hidden width. A value below 1 is a share of the model's width,
    otherwise the number of units.
    """

    identity_at_start: ClassVar[bool] = True

    bottleneck: Annotated[float, Field(gt=0)] = 0.0625

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert the adapters and return their parameters' names."""
        from torch.nn import ReLU  # not above: listing methods must not import torch

        from benchmark.models.adapter import Adapter

        for layer in model.layers:
            adapter = Adapter(model.width, self.bottleneck, skip=True, act=ReLU)
            yield from model.insert("mlp_out", layer, "pfeiffer", adapter)
