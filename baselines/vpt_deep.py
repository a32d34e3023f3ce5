"""VPT-deep: visual prompt tuning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer


@register("vpt_deep", label="VPT-deep", source="arXiv:2203.12119; github.com/KMnP/vpt src/models/vit_prompt/vit.py")
@dataclass(frozen=True, kw_only=True)
class VPTDeep(Method):
    """Learnable prompt tokens for every block; they replace those of the previous block.

    They are inserted after the class tokens under every protocol, while `prompt` follows the protocol's switch.
    """

    tokens: Annotated[int, Field(ge=1)] = 12

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Add the prompt tokens and return their names."""
        return model.add_prompts(self.tokens, deep=True, prompts="insert")
