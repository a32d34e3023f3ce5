"""Adapt positional embeddings to another patch grid than that of pre-training.

Source: AAT@dc406ad src/models/ast_models.py:355-414, 690-710.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def adapt_positional(
    embedding: torch.Tensor, source: tuple[int, int], target: tuple[int, int], prefix: int
) -> torch.Tensor:
    """Adapt to a grid: cut out the middle of a longer axis, interpolate a shorter axis bilinearly.

    Time first, then frequency, as official AST and SSAST do; the rows of class tokens are copied. A frequency axis that
    is too long is cut; the official SSAST code fails there (defect D11).

    Args:
        embedding: (1, prefix + F0*T0, D), patches frequency-major.
        source: (F0, T0), pre-training patches in frequency and time.
        target: (F, T).
        prefix: number of class tokens in front.

    Returns:
        (1, prefix + F*T, D).
    """
    (f0, t0), (f, t) = source, target
    width = embedding.shape[-1]
    head, patches = embedding[:, :prefix], embedding[:, prefix:]
    plane = patches.transpose(1, 2).reshape(1, width, f0, t0)
    plane = plane.narrow(3, t0 // 2 - t // 2, t) if t < t0 else _interpolate(plane, (f0, t))
    plane = plane.narrow(2, f0 // 2 - f // 2, f) if f < f0 else _interpolate(plane, (f, t))
    return torch.cat([head, plane.reshape(1, width, f * t).transpose(1, 2)], dim=1)


def _interpolate(plane: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if tuple(plane.shape[2:]) == size:
        return plane
    return functional.interpolate(plane, size=size, mode="bilinear")
