"""Sequential adapters after attention and MLP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer

INIT_STD = 1e-3  # of both layers, truncated normal


@register(
    "houlsby", label="Houlsby adapter", source="arXiv:1902.00751; github.com/google-research/adapter-bert modeling.py"
)
@dataclass(frozen=True, kw_only=True)
class Houlsby(Method):
    """A residual adapter after the attention and one after the MLP of every block, near-identity at initialization.

    `bottleneck` is the adapters' hidden width. A value below 1 is a share of the model's width,
    otherwise the number of units.
    """

    bottleneck: Annotated[float, Field(gt=0)] = 64

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert the adapters and return their parameters' names."""
        from benchmark.models.adapter import Adapter  # not above: listing methods must not import torch

        for layer in model.layers:
            for site in ("attn_out", "mlp_out"):
                adapter = Adapter(model.width, self.bottleneck, skip=True, down_std=INIT_STD, up_std=INIT_STD)
                yield from model.insert(site, layer, f"houlsby_{site}", adapter)
