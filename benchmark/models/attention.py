"""timm's attention and block, with room for learnable prefixes."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class PrefixAttention(Attention):
    """timm's attention, whose tokens may also attend to learnable keys and values: a prefix.

    Without a prefix it computes what timm's attention computes. Source of prefixes: arXiv:2101.00190.
    """

    prefix: nn.Parameter | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_parameter("prefix", None)

    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None, is_causal: bool = False) -> torch.Tensor:
        """Attend from every token to every token and to the prefix.

        Args:
            x: (B, N, D) tokens.
            attn_mask: passed by timm's block, never set here; a prefix ignores it.
            is_causal: the same.

        Returns:
            (B, N, D).
        """
        if self.prefix is None:
            out: torch.Tensor = super().forward(x, attn_mask, is_causal)
            return out
        clips, tokens, _ = x.shape
        heads = (clips, tokens, 3, self.num_heads, self.head_dim)
        query, key, value = self.qkv(x).reshape(heads).permute(2, 0, 3, 1, 4).unbind(0)
        learnt_key, learnt_value = self.prefix.reshape(2, -1, self.num_heads, self.head_dim).transpose(1, 2)
        key = torch.cat([learnt_key.expand(clips, -1, -1, -1), key], dim=2)
        value = torch.cat([learnt_value.expand(clips, -1, -1, -1), value], dim=2)
        attended = scaled_dot_product_attention(query, key, value)
        projected: torch.Tensor = self.proj(attended.transpose(1, 2).reshape(clips, tokens, -1))
        return projected

    def add_prefix(self, tokens: int) -> None:
        """Add `tokens` learnable keys and values before those of the input, drawn from a normal with std 0.02.

        Raises:
            ValueError: there is a prefix already.
        """
        if self.prefix is not None:
            raise ValueError("the attention has a prefix already: two methods add one")
        self.prefix = nn.Parameter(torch.empty(2, tokens, self.attn_dim).normal_(std=0.02))


class PrefixBlock(Block):
    """timm's block with `PrefixAttention`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "attn_layer": PrefixAttention})
