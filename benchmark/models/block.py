"""A pre-norm Transformer block with named sites where a method may insert modules."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

Site = Literal["attn_parallel", "attn_out", "mlp_parallel", "mlp_out"]
SITES: tuple[Site, ...] = get_args(Site)


class PrefixAttention(Attention):
    """timm's attention, whose tokens may also look at learnt keys and values in front of their own.

    Without a prefix it is timm's. Source of prefixes: arXiv:2101.00190.
    """

    prefix: nn.Parameter | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_parameter("prefix", None)

    def forward(  # type: ignore[override]  # no masks here
        self, x: torch.Tensor
    ) -> torch.Tensor:
        """(B, N, D) -> (B, N, D)."""
        if self.prefix is None:
            out: torch.Tensor = super().forward(x)
            return out
        clips, tokens, _ = x.shape
        heads = (clips, tokens, 3, self.num_heads, self.head_dim)
        query, key, value = self.qkv(x).reshape(heads).permute(2, 0, 3, 1, 4).unbind(0)
        first = self.prefix.reshape(2, -1, self.num_heads, self.head_dim).transpose(
            1, 2
        )  # (2, heads, prefix, head width)
        key, value = (
            torch.cat([more.expand(clips, -1, -1, -1), own], dim=2)
            for more, own in zip(first, (key, value), strict=True)
        )
        seen = scaled_dot_product_attention(query, key, value)
        projected: torch.Tensor = self.proj(seen.transpose(1, 2).reshape(clips, tokens, -1))
        return projected

    def add_prefix(self, tokens: int) -> None:
        """Put `tokens` keys and values, normal with std 0.02, in front of those of the input.

        Raises:
            ValueError: there is a prefix already.
        """
        if self.prefix is not None:
            raise ValueError("the attention has a prefix already: two methods add one")
        self.prefix = nn.Parameter(torch.empty(2, tokens, self.attn_dim).normal_(std=0.02))


class SiteBlock(Block):
    """timm's block whose two sub-layers, attention and MLP, each have two sites.

    `*_out` modules are chained on the sub-layer's output before the residual addition; `*_parallel` modules get the
    sub-layer's normalised input and their outputs are added. Without modules it computes what timm's block does.
    Inserted modules are children of the block under the name that the method gives them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "attn_layer": PrefixAttention})
        self.sites: dict[Site, list[str]] = {site: [] for site in SITES}

    def insert(self, site: Site, name: str, module: nn.Module) -> None:
        """Put a module behind those that are at the site already.

        Raises:
            ValueError: unknown site, or the block has something of that name.
        """
        if site not in self.sites:
            raise ValueError(f"unknown site '{site}' (valid: {', '.join(SITES)})")
        if hasattr(self, name):
            raise ValueError(f"the block has a '{name}' already: two methods insert the same module")
        self.add_module(name, module)
        self.sites[site].append(name)

    def forward(  # type: ignore[override]  # no masks here
        self, x: torch.Tensor
    ) -> torch.Tensor:
        """(B, N, D) -> (B, N, D)."""
        y = self.norm1(x)
        x = x + self._adapted(self.attn(y), y, "attn_out", "attn_parallel")
        y = self.norm2(x)
        return x + self._adapted(self.mlp(y), y, "mlp_out", "mlp_parallel")

    def _adapted(self, output: torch.Tensor, normed: torch.Tensor, chain: Site, parallel: Site) -> torch.Tensor:
        for name in self.sites[chain]:
            output = self.get_submodule(name)(output)
        for name in self.sites[parallel]:
            output = output + self.get_submodule(name)(normed)
        return output
