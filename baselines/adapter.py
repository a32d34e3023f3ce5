"""Bottleneck adapters at any site, to compare placements and initializations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from benchmark.methods import SHARES, Method, register

if TYPE_CHECKING:
    from benchmark.models.attach import Site
    from benchmark.models.transformer import AudioTransformer

SITES: dict[tuple[str, str], Site] = {
    ("attn", "beside"): "attn_parallel",
    ("attn", "after"): "attn_out",
    ("mlp", "beside"): "mlp_parallel",
    ("mlp", "after"): "mlp_out",
}


@register("adapter", label="Adapter", source="AAT-M and AAT-MS (arXiv:2401.10544) with their design choices open")
@dataclass(frozen=True, kw_only=True)
class FreeAdapter(Method):
    """AAT's adapters with free design choices: `adapter[attn=after;mlp=beside]` is AAT-MS.

    `attn` and `mlp` place the adapters. `beside`: it gets the sub-layer's input, and its output is added to that
    of the sub-layer. `after`: a residual adapter on the sub-layer's output. `start` initializes the second layer: with
    zeros, or at random (truncated normal, std 0.02). `bottleneck` is the hidden width: below 1 a share of the model's
    width, from 1 on units.
    """

    attn: Literal["none", "beside", "after"] = "after"
    mlp: Literal["none", "beside", "after"] = "beside"
    start: Literal["zero", "random"] = "zero"
    bottleneck: Annotated[float, Field(gt=0)] = 0.25

    @classmethod
    def search_space(cls) -> Mapping[str, tuple[Any, ...]]:
        """Return shares of the width; values from 1 on would be numbers of units."""
        return {**super().search_space(), "bottleneck": SHARES}

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert the adapters and return their parameters' names."""
        from benchmark.models.adapter import Adapter  # not above: listing methods must not import torch

        up_std = 0.02 if self.start == "random" else 0.0
        for layer in model.layers:
            for sublayer, where in (("attn", self.attn), ("mlp", self.mlp)):
                if where != "none":
                    adapter = Adapter(model.width, self.bottleneck, skip=where == "after", up_std=up_std)
                    yield from model.insert(SITES[sublayer, where], layer, f"{sublayer}_adapter", adapter)
