"""LayerNorm tuning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register("layernorm", label="LayerNorm tuning", source="arXiv:2312.11420")
@dataclass(frozen=True, kw_only=True)
class LayerNormTuning(Method):
    """Train the weights and biases of every LayerNorm, including the last one."""

    identity_at_start: ClassVar[bool] = True

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Return the names of the LayerNorms' parameters."""
        return model.norm_parameters()
