"""SSAST's objective against its definition, patch by patch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from benchmark.models.masked import MaskedPatches, cluster_masks, masked_count
from benchmark.models.transformer import AudioTransformer, ModelConfig
from benchmark.spec.backbone import Shape

SHAPE = Shape(width=16, depth=1, heads=2)


def transformer(frames: int = 64, stride: int = 16) -> AudioTransformer:
    torch.manual_seed(0)
    return AudioTransformer(ModelConfig(SHAPE, mels=128, frames=frames, stride=(stride, stride), classes=1))


def test_of_the_official_grid_400_patches_are_masked() -> None:
    assert masked_count((8, 64)) == 400
    assert cluster_masks(np.random.default_rng(0), 3, (8, 64)).shape == (3, 400)


@given(st.integers(1, 12), st.integers(1, 20), st.integers(0, 2**32))
def test_masks_are_distinct_patches_of_the_grid_but_the_first(rows: int, columns: int, seed: int) -> None:
    if rows * columns < 8:
        return
    for mask in cluster_masks(np.random.default_rng(seed), 4, (rows, columns)):
        assert len(set(mask.tolist())) == masked_count((rows, columns))
        assert mask.min() > 0
        assert mask.max() < rows * columns


def test_masks_come_in_squares() -> None:
    """Masks are squares: the right neighbour of an unmasked patch is unmasked more often than by chance."""
    grid = (8, 64)
    masked = np.zeros((200, math.prod(grid)), bool)
    for row, mask in zip(masked, cluster_masks(np.random.default_rng(0), 200, grid), strict=True):
        row[mask] = True
    open_ = ~masked.reshape(200, *grid)
    assert (open_[:, :, 1:] & open_[:, :, :-1]).sum() / open_[:, :, :-1].sum() > 0.3  # independent: 0.22


def test_losses_are_those_of_the_definition() -> None:
    model = MaskedPatches(transformer())
    clips = torch.randn(2, 64, 128)
    found = model(clips, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    losses = {}
    for name, head in (("contrastive", model.cpredlayer), ("generative", model.gpredlayer)):
        masks = cluster_masks(rng, 2, (8, 4))
        per_clip = []
        for clip, mask in zip(clips, masks, strict=True):
            hidden = model.model.patches(clip.unsqueeze(0)).clone()
            hidden[0, mask] = model.mask_embed[0, 0]
            outputs = head(model.model.encode(hidden)[0, 2:][mask])
            # patch (f, t) of the spectrogram: rows are mel bands
            raw = torch.stack([clip.T[16 * (i // 4) :, 16 * (i % 4) :][:16, :16].flatten() for i in mask])
            if name == "generative":
                per_clip.append((outputs - raw).square().mean())
            else:
                scores = raw @ outputs.T
                per_clip.append(-torch.log_softmax(scores, dim=-1).diagonal().mean())
        losses[name] = torch.stack(per_clip).mean()
    torch.testing.assert_close(found.contrastive, losses["contrastive"])
    torch.testing.assert_close(found.generative, losses["generative"])
    torch.testing.assert_close(found.joint, losses["contrastive"] + 10 * losses["generative"])


def test_everything_but_the_tagging_head_and_what_sees_no_patch_learns() -> None:
    model = MaskedPatches(transformer())
    model(torch.randn(2, 64, 128), np.random.default_rng(0)).joint.backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == {f"model.mlp_head.{place}.{kind}" for place in (0, 1) for kind in ("weight", "bias")}
    assert isinstance(model.cpredlayer[1], nn.ReLU)


@pytest.mark.parametrize(("frames", "stride", "reason"), [(64, 10, "overlap"), (16, 16, "")])
def test_patches_that_cannot_be_masked_are_refused(frames: int, stride: int, reason: str) -> None:
    if not reason:
        MaskedPatches(transformer(frames, stride))  # the smallest: 8 patches
        return
    with pytest.raises(ValueError, match=reason):
        MaskedPatches(transformer(frames, stride))
