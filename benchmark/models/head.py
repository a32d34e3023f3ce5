"""The classification head."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Head(nn.Sequential):
    """LayerNorm and a linear layer, with the official names `0` and `1`, and dropout between them.

    Args:
        width: D, the size of a token.
        classes: number of outputs.
        eps: epsilon of the LayerNorm.
        dropout: probability that training sets a value to 0; 0 draws nothing.
    """

    def __init__(self, width: int, classes: int, eps: float, dropout: float = 0.0) -> None:
        super().__init__(nn.LayerNorm(width, eps=eps), nn.Linear(width, classes))
        self.dropout = dropout

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, classes) logits."""
        norm, linear = self
        normed: torch.Tensor = norm(pooled)
        if self.dropout:
            normed = functional.dropout(normed, self.dropout, self.training)
        logits: torch.Tensor = linear(normed)
        return logits
