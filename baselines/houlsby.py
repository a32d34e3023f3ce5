"""Sequential adapters behind attention and MLP."""

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
    """An adapter with skip behind the attention and one behind the MLP of every block, at first nearly the identity.

    `bottleneck` is the adapters' hidden width: below 1 as a share of the model's width, from 1 on in units.
    """

    bottleneck: Annotated[float, Field(gt=0)] = 64

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert the adapters and name their parameters."""
        from benchmark.models.adapter import Adapter  # not above: listing methods must not import torch

        for index in range(len(model.blocks)):
            for site in ("attn_out", "mlp_out"):
                adapter = Adapter(model.width, self.bottleneck, skip=True, down_std=INIT_STD, up_std=INIT_STD)
                yield from model.insert(site, index, f"houlsby_{site}", adapter)
