"""The Vision Transformer on spectrograms: what AST, SSAST and AudioMAE take from timm.

Parameters have timm's names and order, and a seed draws timm's initial weights. `tests/models/test_vit.py` compares the
two.

Source: arXiv:2010.11929, arXiv:2012.12877; timm's `VisionTransformer` and `VisionTransformerDistilled`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from benchmark.models.attention import Attention

PATCH = 16
EXPANSION = 4  # width of an MLP's hidden layer, in widths of a token
STD = 0.02  # of initial weights and positional embeddings
CLASS_TOKEN_STD = 1e-6


class SpectrogramPatches(nn.Module):
    """Project overlapping 16x16 patches by a convolution without padding.

    The rows of the input are the axis that varies slowest in the sequence of patches.

    Args:
        width: D, the size of a token.
        stride: of the patches, in (rows, columns) of the input.
    """

    def __init__(self, width: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, kernel_size=PATCH, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 1, mels, frames) -> (B, F*T, D)."""
        out: torch.Tensor = self.proj(x)
        return out.flatten(2).transpose(1, 2)


class MLP(nn.Module):
    """Two linear layers with the exact GELU between them, applied to every token.

    Args:
        width: D, the size of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, EXPANSION * width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(EXPANSION * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, D) -> (B, N, D)."""
        out: torch.Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class Block(nn.Module):
    """A Transformer block: attention, then an MLP, each on normalised input and added to its input.

    Args:
        width: D, the size of a token.
        heads: of the attention.
        norm_eps: epsilon of the LayerNorms.
        qkv_bias: whether query, key and value have biases.
    """

    def __init__(self, width: int, heads: int, norm_eps: float, *, qkv_bias: bool = True) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=norm_eps)
        self.attn = Attention(width, heads, qkv_bias=qkv_bias)
        self.norm2 = nn.LayerNorm(width, eps=norm_eps)
        self.mlp = MLP(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self.attn(self.norm1(x))
        out: torch.Tensor = x + self.mlp(self.norm2(x))
        return out


class VisionTransformer(nn.Module):
    """The parts of a (distilled) Vision Transformer without a head; `AudioTransformer` puts them together.

    Args:
        width: D, the size of a token.
        patches: number of patches.
        patch_embed: projects the input to patch tokens.
        blocks: the Transformer blocks.
        class_tokens: number of tokens before the patches: a class token, and a dist token.
        fixed_positions: whether the positional embedding is a buffer, which nothing trains, instead of a parameter.
        norm: the last LayerNorm; `nn.Identity` for none.
    """

    cls_token: nn.Parameter | None
    dist_token: nn.Parameter | None
    pos_embed: torch.Tensor

    def __init__(
        self,
        width: int,
        patches: int,
        patch_embed: nn.Module,
        blocks: Iterable[nn.Module],
        *,
        class_tokens: int,
        fixed_positions: bool,
        norm: nn.Module,
    ) -> None:
        super().__init__()
        self.register_parameter("cls_token", nn.Parameter(torch.empty(1, 1, width)) if class_tokens else None)
        positions = torch.empty(1, class_tokens + patches, width)
        if fixed_positions:
            self.register_buffer("pos_embed", positions)
        else:
            self.pos_embed = nn.Parameter(positions)
        self.register_parameter("dist_token", nn.Parameter(torch.empty(1, 1, width)) if class_tokens > 1 else None)
        self.patch_embed = patch_embed
        self.blocks = nn.Sequential(*blocks)
        self.norm = norm
        self._initialize()

    def _initialize(self) -> None:
        """Draw in timm's order; there, too, linear layers draw twice: when they are made, and here."""
        if self.dist_token is not None:
            nn.init.trunc_normal_(self.dist_token, std=STD)
        nn.init.trunc_normal_(self.pos_embed, std=STD)
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=CLASS_TOKEN_STD)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def class_tokens(self) -> torch.Tensor | None:
        """Return the class token and the dist token, as far as they are there: (1, 1 or 2, D); None for none."""
        found: list[torch.Tensor] = [token for token in (self.cls_token, self.dist_token) if token is not None]
        if len(found) < 2:
            return found[0] if found else None
        return torch.cat(found, dim=1)
