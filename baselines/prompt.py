"""Deep prompt tuning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register(
    "prompt",
    label="Prompt tuning",
    source="VPT-deep, arXiv:2203.12119; AAT@dc406ad src/models/ast_models.py, --finetune prompt",
)
@dataclass(frozen=True, kw_only=True)
class Prompt(Method):
    """Learnable prompt tokens for every block.

    With the protocol switch `prompts=overwrite`, as in the official code, the first block's prompts have no effect and
    those of later blocks replace patch tokens. With `prompts=insert`, they are inserted after the class tokens.
    """

    tokens: Annotated[int, Field(ge=1)] = 12

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Add the prompt tokens and return their names."""
        return model.add_prompts(self.tokens)
