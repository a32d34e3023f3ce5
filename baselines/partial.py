"""Partial fine-tuning: the upper blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register("partial", label="Partial fine-tuning", source="AAT@dc406ad src/models/ast_models.py, --finetune partial")
@dataclass(frozen=True, kw_only=True)
class Partial(Method):
    """Train the upper blocks with their LayerNorms; the last LayerNorm stays frozen.

    `share` is the share of blocks that train: 0.5 of 12 blocks are blocks 6 to 11.
    """

    identity_at_start: ClassVar[bool] = True

    share: Annotated[float, Field(gt=0, le=1)] = 0.5

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Return the names of all parameters of the upper blocks."""
        first = int(len(model.layers) * (1 - self.share))
        return [name for layer in model.layers[first:] for name in model.parameters_of(layer)]
