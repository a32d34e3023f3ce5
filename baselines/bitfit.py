"""BitFit: train the biases only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register("bitfit", label="BitFit", source="arXiv:2106.10199")
@dataclass(frozen=True, kw_only=True)
class BitFit(Method):
    """Train the biases only; with `norms=false` not those of LayerNorms."""

    identity_at_start: ClassVar[bool] = True

    norms: bool = True

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Return the names of the biases."""
        left_out = set() if self.norms else model.norm_parameters()
        return (name for name, _ in model.named_parameters() if name.endswith("bias") and name not in left_out)
