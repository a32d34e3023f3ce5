"""Multi-head self-attention with room for learnable prefixes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class Attention(nn.Module):
    """Self-attention whose tokens may also attend to learnable keys and values: a prefix.

    Args:
        width: D, the size of a token.
        heads: number of heads, each of size D / heads.
        qkv_bias: whether query, key and value have biases.

    Raises:
        ValueError: the heads do not divide the width.

    Source: arXiv:2010.11929; of prefixes arXiv:2101.00190. Parameters have timm's names.
    """

    prefix: nn.Parameter | None

    def __init__(self, width: int, heads: int, *, qkv_bias: bool = True) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide the width {width}")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)
        self.register_parameter("prefix", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, D) tokens -> (B, N, D); every token attends to every token and to the prefix."""
        clips, tokens, width = x.shape
        split = self.qkv(x).reshape(clips, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)  # (B, heads, N, D / heads) each
        if self.prefix is not None:
            learnt_key, learnt_value = self.prefix.reshape(2, -1, self.heads, width // self.heads).transpose(1, 2)
            key = torch.cat([learnt_key.expand(clips, -1, -1, -1), key], dim=2)
            value = torch.cat([learnt_value.expand(clips, -1, -1, -1), value], dim=2)
        attended = scaled_dot_product_attention(query, key, value)
        projected: torch.Tensor = self.proj(attended.transpose(1, 2).reshape(clips, tokens, width))
        return projected

    def add_prefix(self, tokens: int) -> None:
        """Add `tokens` learnable keys and values before those of the input, drawn from a normal with std 0.02.

        Raises:
            ValueError: there is a prefix already.
        """
        if self.prefix is not None:
            raise ValueError("the attention has a prefix already: two methods add one")
        self.prefix = nn.Parameter(torch.empty(2, tokens, self.proj.in_features).normal_(std=0.02))
