"""Bottleneck adapters."""

from __future__ import annotations

import torch
from torch import nn


def hidden_width(width: int, bottleneck: float) -> int:
    """Return the hidden units of a bottleneck, at least one: a value below 1 is a share of `width`."""
    return max(1, int(bottleneck * width if bottleneck < 1 else bottleneck))


class Adapter(nn.Module):
    """Bottleneck Linear -> activation -> Linear; the defaults are AAT's (AAT@dc406ad `Adapter`), zero at first.

    Args:
        width: D, size of the tokens.
        bottleneck: hidden width; a value below 1 is a share of `width`, otherwise the number of units.
        skip: add the input to the output: the module starts as the identity instead of zero.
        act: activation.
        down_std: standard deviation of the truncated normal that initializes the first layer; None for torch's default.
        up_std: the same for the second layer; 0 initializes it with zeros.
        scale: factor on the second layer's output.
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
