"""Prefix tuning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register("prefix", label="Prefix tuning", source="arXiv:2101.00190; per layer, without reparametrisation")
@dataclass(frozen=True, kw_only=True)
class Prefix(Method):
    """Learn keys and values that every block's attention may look at beside those of its tokens."""

    tokens: Annotated[int, Field(ge=1)] = 12

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Add the prefixes and name them."""
        for index in range(len(model.blocks)):
            yield from model.add_prefix(index, self.tokens)
