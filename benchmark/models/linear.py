"""Modules in parallel with or after a linear layer: low-rank updates, scale and shift."""

from __future__ import annotations

import math

import torch
from torch import nn


class LowRank(nn.Module):
    """LoRA's update of a linear layer, for some of the equal parts that its output has (arXiv:2106.09685).

    Args:
        inputs: width of the layer's input.
        outputs: width of its output.
        rank: of the update of one part.
        scale: factor on the update.
        parts: which parts are updated, such as query and value of a joint projection.
        of: number of equal parts of the output.
    """

    def __init__(
        self, inputs: int, outputs: int, rank: int, scale: float, parts: tuple[int, ...] = (0,), of: int = 1
    ) -> None:
        super().__init__()
        self.parts, self.of, self.scale = parts, of, scale
        self.down = nn.Parameter(torch.empty(len(parts), rank, inputs))
        self.up = nn.Parameter(torch.zeros(len(parts), outputs // of, rank))
        nn.init.kaiming_uniform_(self.down.view(-1, inputs), a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., inputs) -> (..., outputs), zero in the other parts."""
        updates = {
            part: (x @ down.T) @ up.T * self.scale
            for part, down, up in zip(self.parts, self.down, self.up, strict=True)
        }
        no_update = torch.zeros_like(next(iter(updates.values())))
        return torch.cat([updates.get(part, no_update) for part in range(self.of)], dim=-1)

    def merged(self, weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return weight and bias of one layer that computes what a linear layer and this module in parallel do."""
        parts = list(weight.chunk(self.of))
        for part, down, up in zip(self.parts, self.down, self.up, strict=True):
            parts[part] = parts[part] + up @ down * self.scale
        return torch.cat(parts), bias


class ScaleShift(nn.Module):
    """A per-channel scale and shift, near 1 and 0 at initialization (SSF, arXiv:2210.08823)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(width).normal_(mean=1.0, std=0.02))
        self.shift = nn.Parameter(torch.empty(width).normal_(std=0.02))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., width), or (B, width, F, T) from a convolution -> the same shape."""
        if x.dim() == 4:
            return x * self.scale[:, None, None] + self.shift[:, None, None]
        return x * self.scale + self.shift

    def merged(self, weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return weight and bias of one layer that computes what a layer and this module after it do."""
        scale = self.scale.view(-1, *[1] * (weight.dim() - 1))
        return weight * scale, self.shift if bias is None else bias * self.scale + self.shift
