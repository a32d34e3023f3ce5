"""The Vision Transformer against timm's, which it replaces."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from benchmark.models.attention import Attention
from benchmark.models.transformer import AudioTransformer, ModelConfig
from benchmark.spec.backbone import SHAPES

MELS, FRAMES = 32, 64


def ours(seed: int, size: str = "demo", distilled: bool = True, stride: tuple[int, int] = (16, 16)) -> AudioTransformer:
    torch.manual_seed(seed)
    class_tokens = 2 if distilled else 1
    return AudioTransformer(ModelConfig(SHAPES[size], MELS, FRAMES, stride, classes=3, class_tokens=class_tokens))


def timms(seed: int, size: str = "demo", distilled: bool = True) -> Any:
    torch.manual_seed(seed)
    shape = SHAPES[size]
    return (VisionTransformerDistilled if distilled else VisionTransformer)(
        img_size=(MELS, FRAMES), patch_size=16, in_chans=1, num_classes=0,
        embed_dim=shape.width, depth=shape.depth, num_heads=shape.heads,
    )  # fmt: skip


@pytest.mark.parametrize("distilled", [True, False])
@pytest.mark.parametrize("size", ["demo", "tiny"])
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_seed_draws_timms_weights_in_timms_order(seed: int, size: str, distilled: bool) -> None:
    expected = timms(seed, size, distilled)
    head = nn.Sequential(nn.LayerNorm(SHAPES[size].width), nn.Linear(SHAPES[size].width, 3))  # drawn after timm's draws
    model = ours(seed, size, distilled)
    for found, twin in ((model.v, expected), (model.mlp_head, head)):
        assert list(found.state_dict()) == list(twin.state_dict())
        assert [name for name, _ in found.named_parameters()] == [name for name, _ in twin.named_parameters()]
        assert all(torch.equal(tensor, twin.state_dict()[name]) for name, tensor in found.state_dict().items())


@pytest.mark.parametrize("distilled", [True, False])
@pytest.mark.parametrize("stride", [(16, 16), (10, 10)])
def test_it_computes_and_differentiates_what_timms_does(stride: tuple[int, int], distilled: bool) -> None:
    model, twin = ours(0, "demo", distilled, stride), timms(0, "demo", distilled)
    twin.patch_embed.proj.stride = stride  # as in AST, whose patches overlap
    twin.pos_embed = nn.Parameter(torch.empty_like(model.v.pos_embed))
    twin.load_state_dict(model.v.state_dict())
    model, twin = model.double(), twin.double()
    with torch.no_grad():
        for parameter, other in zip(model.v.parameters(), twin.parameters(), strict=True):
            parameter.add_(torch.randn_like(parameter), alpha=0.1)  # also biases and LayerNorms
            other.copy_(parameter)
    x = torch.randn(3, FRAMES, MELS, dtype=torch.float64)
    tokens = model.encode(model.patches(x))
    expected = twin.forward_features(x.unsqueeze(1).transpose(2, 3))
    assert tokens.shape == (3, (2 if distilled else 1) + math.prod(model.config.grid), 64)
    torch.testing.assert_close(tokens, expected, rtol=0, atol=1e-12)
    weights = torch.randn_like(tokens)
    for output in (tokens, expected):
        (output * weights).sum().backward()
    for parameter, other in zip(model.v.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-11, atol=1e-11)


def test_heads_that_do_not_divide_the_width_are_an_error() -> None:
    with pytest.raises(ValueError, match="5 heads do not divide the width 64"):
        Attention(64, 5)
