"""Adapt positional embeddings to another patch grid than that of pre-training, and make those of random weights.

Source: AAT@dc406ad src/models/ast_models.py:355-414, 690-710; AudioMAE@877faec util/pos_embed.py.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from benchmark.spec.backbone import Positions

STD = 0.02
LONGEST_WAVE = 10000.0


def adapt_positional(
    embedding: torch.Tensor,
    source: tuple[int, int],
    target: tuple[int, int],
    prefix: int,
    positions: Positions | None = None,
) -> torch.Tensor:
    """Adapt to a grid: cut out a part of a longer axis, interpolate a shorter axis.

    Time first, then frequency, as official AST and SSAST do; the rows of class tokens are copied. A frequency axis that
    is too long is cut; the official SSAST code fails there (defect D11).

    Args:
        embedding: (1, prefix + F0*T0, D).
        source: (F0, T0), pre-training patches in frequency and time.
        target: (F, T).
        prefix: number of class tokens in front.
        positions: which part is cut out, and how an axis is interpolated; None for AST's way.

    Returns:
        (1, prefix + F*T, D).
    """
    stated = positions or Positions()
    width, is_turned = embedding.shape[-1], stated.rows == "time"
    head, patches = embedding[:, :prefix], embedding[:, prefix:]
    plane = patches.transpose(1, 2).reshape(1, width, *(source[::-1] if is_turned else source))
    plane = plane.transpose(2, 3) if is_turned else plane
    for axis, size in ((3, target[1]), (2, target[0])):
        plane = _fit_axis(plane, axis, size, stated)
    plane = plane.transpose(2, 3) if is_turned else plane
    return torch.cat([head, plane.reshape(1, width, math.prod(target)).transpose(1, 2)], dim=1)


def draw_positional(width: int, grid: tuple[int, int], prefix: int, positions: Positions) -> torch.Tensor:
    """Return the positional embedding of random weights, (1, prefix + F*T, D): drawn, or the sines of a fixed one.

    Args:
        width: D, the size of a token.
        grid: (F, T), patches in frequency and time.
        prefix: number of class tokens in front.
        positions: whether it is learned or fixed, and which axis varies slowest.
    """
    embedding = torch.empty(1, prefix + math.prod(grid), width)
    nn.init.trunc_normal_(embedding, std=STD)
    if positions.kind == "fixed":
        embedding.zero_()  # rows of class tokens are zeros
        embedding[:, prefix:] = sine_positions(width, grid if positions.rows == "frequency" else grid[::-1])
    return embedding


def sine_positions(width: int, grid: tuple[int, int]) -> torch.Tensor:
    """Return sines and cosines of the places in a grid, as MAE has them.

    Args:
        width: D; a multiple of 4.
        grid: rows and columns.

    Returns:
        (rows * columns, D): the first half is of the column, the second of the row.
    """
    rows, columns = (torch.arange(size, dtype=torch.float64) for size in grid)
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).flatten(1)
    waves = LONGEST_WAVE ** -(torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    angles = places[[1, 0], :, None] * waves
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1).float()


def _fit_axis(plane: torch.Tensor, axis: int, size: int, positions: Positions) -> torch.Tensor:
    """Cut or interpolate one axis of (1, D, F, T)."""
    have = plane.shape[axis]
    if size < have:
        return plane.narrow(axis, 0 if positions.shorter == "first" else have // 2 - size // 2, size)
    if size == have:
        return plane
    wanted = [size if place == axis else plane.shape[place] for place in (2, 3)]
    return functional.interpolate(plane, size=wanted, mode=positions.longer)
