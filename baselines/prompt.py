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
    """Learn prompt tokens for every block.

    Under the protocol switch `prompts=overwrite` the first block's tokens have no effect and those of later blocks
    replace patch tokens, as in the official code; under `insert` they are added behind the prefix tokens.
    """

    tokens: Annotated[int, Field(ge=1)] = 12

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Add the prompt tokens and name them."""
        return model.add_prompts(self.tokens)
