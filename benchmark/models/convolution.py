"""Convolutional adapters."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from benchmark.models.adapter import hidden_width


class Convpass(nn.Module):
    """A bottleneck with a 3x3 convolution over the patch grid; any other token is a 1x1 grid (arXiv:2207.07039).

    Args:
        width: D, size of the tokens.
        bottleneck: channels.
        grid: rows and columns of the patch grid; the patches are the last tokens, row by row.
        scale: factor on the output.
    """

    def __init__(self, width: int, bottleneck: int, grid: tuple[int, int], scale: float) -> None:
        super().__init__()
        self.grid, self.scale = grid, scale
        self.down = nn.Linear(width, bottleneck)
        self.conv = nn.Conv2d(bottleneck, bottleneck, 3, padding=1)
        self.up = nn.Linear(bottleneck, width)
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.zeros_(self.down.bias)
        nn.init.dirac_(self.conv.weight)  # the identity
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, D) -> (B, N, D), N at least the grid's patches."""
        hidden = _quick_gelu(self.down(x))
        others = hidden.shape[1] - self.grid[0] * self.grid[1]
        patches = hidden[:, others:].transpose(1, 2).reshape(len(x), -1, *self.grid)
        convolved = self.conv(patches).flatten(2).transpose(1, 2)
        # on a 1x1 grid, a padded 3x3 convolution only uses its central weight
        single = functional.linear(hidden[:, :others], self.conv.weight[:, :, 1, 1], self.conv.bias)
        out: torch.Tensor = self.up(_quick_gelu(torch.cat([single, convolved], dim=1))) * self.scale
        return out


def _quick_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(1.702 * x)


class ConformerModule(nn.Module):
    """The Conformer's convolution module as a bottleneck over the sequence of tokens (arXiv:2312.03694).

    LayerNorm, pointwise convolution with GLU, depthwise convolution, BatchNorm, SiLU, pointwise convolution.

    Args:
        width: D, size of the tokens.
        bottleneck: hidden width; a value below 1 is a share of `width`, otherwise the number of units.
        kernel: size of the depthwise convolution in tokens, odd.
    """

    def __init__(self, width: int, bottleneck: float, kernel: int) -> None:
        super().__init__()
        hidden = hidden_width(width, bottleneck)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Conv1d(width, 2 * hidden, 1)
        self.depthwise = nn.Conv1d(hidden, hidden, kernel, padding=kernel // 2, groups=hidden)
        self.batch_norm = nn.BatchNorm1d(hidden)
        self.project = nn.Conv1d(hidden, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, D) -> (B, N, D)."""
        gated = functional.glu(self.expand(self.norm(x).transpose(1, 2)), dim=1)
        out: torch.Tensor = self.project(functional.silu(self.batch_norm(self.depthwise(gated))))
        return out.transpose(1, 2)
