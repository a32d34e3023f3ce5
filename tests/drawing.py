"""A method for tests, used by path: it draws from every generator, and normalises over the batch."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.transformer import AudioTransformer

DRAWING = str(Path(__file__))  # as on the command line


class Draws(nn.Module):
    """BatchNorm over tokens, dropout, and factors from Python and NumPy."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, D) -> (B, N, D)."""
        out: torch.Tensor = self.dropout(self.norm(x.transpose(1, 2)).transpose(1, 2))
        return out * (1 + random.random() * np.random.rand()) if self.training else out


@register("drawing_test", label="Drawing", source="test")
@dataclass(frozen=True, kw_only=True)
class Drawing(Method):
    """Insert `Draws` after the first block's attention."""

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert the module."""
        return model.insert("attn_out", 0, "draws", Draws(model.width))
