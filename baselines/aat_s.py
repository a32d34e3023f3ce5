"""AAT-S: spatial adapters only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from benchmark.methods import SHARES, Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register("aat_s", label="AAT-S", source="AAT@dc406ad src/models/ast_models.py, --finetune spatial; not in the paper")
@dataclass(frozen=True, kw_only=True)
class AATS(Method):
    """The spatial half of AAT-MS: a residual adapter after the attention of every block, before the residual addition.

    `bottleneck` is the adapters' hidden width. A value below 1 is a share of the model's width,
    otherwise the number of units.
    """

    identity_at_start: ClassVar[bool] = True

    bottleneck: Annotated[float, Field(gt=0)] = 0.25

    @classmethod
    def search_space(cls) -> Mapping[str, tuple[float, ...]]:
        """Return shares of the width; values from 1 on would be numbers of units."""
        return {"bottleneck": SHARES}

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert the adapters and return their parameters' names."""
        from benchmark.models.adapter import Adapter  # not above: listing methods must not import torch

        for layer in model.layers:
            adapter = Adapter(model.width, self.bottleneck, skip=True)
            yield from model.insert("attn_out", layer, "s_adapter", adapter)
