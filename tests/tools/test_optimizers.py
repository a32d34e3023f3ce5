"""Optimizers of pre-training."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmark.tools.pretrain.optimizers import Muon, orthogonalized


@pytest.mark.parametrize("shape", [(12, 12), (48, 12), (12, 48)])
def test_a_matrix_becomes_nearly_orthogonal(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalized(torch.randn(shape)))
    assert 0.5 < float(values.min()) <= float(values.max()) < 1.5


def test_muon_steps_as_torch_does() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(24, 8), torch.randn(3, 24, 8)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    settings = {"lr": 0.1, "weight_decay": 0.05, "momentum": 0.95}
    optimizers = Muon([ours], **settings), torch.optim.Muon([theirs], **settings, adjust_lr_fn="match_rms_adamw")
    for gradient in gradients:
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    moved = (ours - start).norm()
    assert (ours - theirs).norm() < 0.02 * moved  # torch calculates in bfloat16
