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
    """Learnable keys and values in every block, to which its tokens attend as well as to each other."""

    tokens: Annotated[int, Field(ge=1)] = 12

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Add the prefixes and return their names."""
        for layer in model.layers:
            yield from model.add_prefix(layer, self.tokens)
