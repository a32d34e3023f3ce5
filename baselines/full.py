"""Full fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchmark.methods import Method, register
from benchmark.spec.recipe import Tuning

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register("full", label="Full fine-tuning", source="AAT@dc406ad src/models/ast_models.py, empty --finetune")
@dataclass(frozen=True, kw_only=True)
class Full(Method):
    """Train every parameter, including positional embedding and class tokens."""

    tuning: ClassVar[Tuning] = "full"
    identity_at_start: ClassVar[bool] = True

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Return the names of all parameters."""
        return [name for name, _ in model.named_parameters()]
