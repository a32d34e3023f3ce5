"""The bottleneck adapter of AAT."""

from __future__ import annotations

import torch
from torch import nn


class Adapter(nn.Module):
    """Linear -> GELU -> Linear bottleneck, zero at the start (AAT@dc406ad `Adapter`).

    Args:
        width: D, size of the tokens.
        bottleneck: hidden width; below 1 as a share of `width`, from 1 on in units.
        skip: add the input to the output, so that the module starts as the identity instead of as zero.
    """

    def __init__(self, width: int, bottleneck: float, *, skip: bool) -> None:
        super().__init__()
        hidden = max(1, int(bottleneck * width if bottleneck < 1 else bottleneck))
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)
        self.skip = skip
        nn.init.trunc_normal_(self.fc1.weight, std=0.02)
        nn.init.zeros_(self.fc1.bias)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., D) -> (..., D)."""
        y: torch.Tensor = self.fc2(self.act(self.fc1(x)))
        return x + y if self.skip else y
