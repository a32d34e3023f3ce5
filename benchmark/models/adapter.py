"""Bottleneck adapters."""

from __future__ import annotations

import torch
from torch import nn


def hidden_width(width: int, bottleneck: float) -> int:
    """Units of a bottleneck that is a share of `width` below 1, and units from 1 on; at least one."""
    return max(1, int(bottleneck * width if bottleneck < 1 else bottleneck))


class Adapter(nn.Module):
    """Linear -> activation -> Linear bottleneck; the defaults are AAT's (AAT@dc406ad `Adapter`), zero at the start.

    Args:
        width: D, size of the tokens.
        bottleneck: hidden width; below 1 as a share of `width`, from 1 on in units.
        skip: add the input to the output, so that the module starts as the identity instead of as zero.
        act: activation.
        down_std: standard deviation of the truncated normal that the first layer starts from; None: torch's own.
        up_std: of the second layer; 0: it starts at zero.
        scale: factor on what the second layer gives.
    """

    def __init__(
        self,
        width: int,
        bottleneck: float,
        *,
        skip: bool,
        act: type[nn.Module] = nn.GELU,
        down_std: float | None = 0.02,
        up_std: float = 0.0,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        hidden = hidden_width(width, bottleneck)
        self.fc1 = nn.Linear(width, hidden)
        self.act = act()
        self.fc2 = nn.Linear(hidden, width)
        self.skip = skip
        self.scale = scale
        if down_std is not None:
            nn.init.trunc_normal_(self.fc1.weight, std=down_std)
            nn.init.zeros_(self.fc1.bias)
        nn.init.zeros_(self.fc2.weight)
        if up_std:
            nn.init.trunc_normal_(self.fc2.weight, std=up_std)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., D) -> (..., D)."""
        y: torch.Tensor = self.fc2(self.act(self.fc1(x)))
        if self.scale != 1:
            y = self.scale * y
        return x + y if self.skip else y
