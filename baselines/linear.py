"""Linear probing: train the head only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register("linear", label="Linear probing", source="AAT@dc406ad src/models/ast_models.py, --finetune head")
@dataclass(frozen=True, kw_only=True)
class Linear(Method):
    """Train the head (LayerNorm and linear layer) only."""

    identity_at_start: ClassVar[bool] = True

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Return nothing: the harness trains the head."""
        return []
