"""Sequential adapters behind the MLP."""

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
    """One adapter with skip and ReLU behind the MLP of every block; here it starts as the identity.

    `bottleneck` is the adapters' hidden width: below 1 as a share of the model's width, from 1 on in units.
    """

    identity_at_start: ClassVar[bool] = True

    bottleneck: Annotated[float, Field(gt=0)] = 0.0625

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert the adapters and name their parameters."""
        from torch.nn import ReLU  # not above: listing methods must not import torch

        from benchmark.models.adapter import Adapter

        for index in range(len(model.blocks)):
            adapter = Adapter(model.width, self.bottleneck, skip=True, act=ReLU)
            yield from model.insert("mlp_out", index, "pfeiffer", adapter)
