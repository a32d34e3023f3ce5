"""Scaled parallel adapters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register("parallel_adapter", label="Parallel adapter", source="arXiv:2110.04366")
@dataclass(frozen=True, kw_only=True)
class ParallelAdapter(Method):
    """A scaled adapter with ReLU in parallel with every block's MLP, initialized like LoRA.

    `bottleneck` is the adapters' hidden width. A value below 1 is a share of the model's width,
    otherwise the number of units.
    """

    identity_at_start: ClassVar[bool] = True

    bottleneck: Annotated[float, Field(gt=0)] = 64
    scale: Annotated[float, Field(gt=0)] = 4

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert the adapters and return their parameters' names."""
        from torch.nn import ReLU  # not above: listing methods must not import torch

        from benchmark.models.adapter import Adapter

        for layer in model.layers:
            adapter = Adapter(model.width, self.bottleneck, skip=False, act=ReLU, down_std=None, scale=self.scale)
            yield from model.insert("mlp_parallel", layer, "parallel_adapter", adapter)
