"""Positional embeddings on other grids."""

from __future__ import annotations

import torch
from torch.nn import functional

from benchmark.models.positional import adapt_positional


def grid(f: int, t: int) -> torch.Tensor:
    """Two prefix rows, then patches that carry their own (frequency, time)."""
    rows = [[-1.0, -1.0], [-2.0, -2.0]] + [[float(i), float(j)] for i in range(f) for j in range(t)]
    return torch.tensor(rows).unsqueeze(0)


def test_equal_grids_are_left_alone() -> None:
    assert torch.equal(adapt_positional(grid(12, 101), (12, 101), (12, 101), 2), grid(12, 101))


def test_shorter_grids_are_cut_in_the_middle() -> None:
    out = adapt_positional(grid(12, 101), (12, 101), (12, 50), 2)
    assert torch.equal(out[:, :2], grid(12, 101)[:, :2])
    assert out.shape == (1, 2 + 12 * 50, 2)
    assert out[0, 2:, 1].unique().tolist() == list(range(25, 75))
    low = adapt_positional(grid(12, 101), (12, 101), (6, 12), 2)
    assert low[0, 2:, 1].unique().tolist() == list(range(44, 56))
    assert low[0, 2:, 0].unique().tolist() == list(range(3, 9))


def test_longer_grids_are_interpolated_bilinearly() -> None:
    out = adapt_positional(grid(8, 64), (8, 64), (12, 101), 2)
    plane = grid(8, 64)[:, 2:].transpose(1, 2).reshape(1, 2, 8, 64)
    wide = functional.interpolate(plane, size=(8, 101), mode="bilinear")
    expected = functional.interpolate(wide, size=(12, 101), mode="bilinear")
    assert torch.equal(out[:, 2:], expected.reshape(1, 2, -1).transpose(1, 2))
