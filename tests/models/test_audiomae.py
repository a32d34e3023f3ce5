"""AudioMAE against timm's model in float64, its checkpoint formats, and its positions at other lengths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from benchmark.errors import BenchmarkError
from benchmark.models.build import build_backbone, model_config
from benchmark.models.checkpoint import read_checkpoint, save_checkpoint
from benchmark.models.class_checkpoint import read_weights
from benchmark.models.fit import fit
from benchmark.models.outside import resolve_backbones
from benchmark.models.positional import adapt_positional, sine_positions
from benchmark.models.transformer import AudioTransformer
from benchmark.models.weights import locate
from benchmark.spec.backbone import SHAPES, Pretrained, load_backbone
from benchmark.spec.protocol import load_protocol
from benchmark.spec.recipe import resolve_recipe
from benchmark.testing.backbones import CheckedBackbone, run_backbone_check

CLASSES = 527
TINY = SHAPES["tiny"].model_copy(update={"depth": 2})


def timms(frames: int = 1024) -> Any:
    """timm's model as its hub entries configure it: vit_base_patch16_224, input 1 x frames x 128, global_pool avg."""
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(
        img_size=(frames, 128), patch_size=16, in_chans=1, num_classes=CLASSES,
        global_pool="avg", embed_dim=TINY.width, depth=TINY.depth, num_heads=TINY.heads,
    )  # fmt: skip
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=random))
    return model.double().eval()


def ours(path: Path, frames: int) -> AudioTransformer:
    """Read a file as a trial does, and build the model for a length; its head is that of the file."""
    [choice] = resolve_backbones(f"audiomae[weights={path}]", "test")
    located, found = locate(choice, path.parent)
    assert found is not None
    fitted = fit(located, found)
    recipe = resolve_recipe(
        "esc50", backbone="audiomae", method="linear", tuning="peft", overrides=[]
    ).recipe.model_copy(update={"frames": frames})  # fmt: skip
    checkpoint = read_weights(fitted, found)
    for protocol in ("reference", "corrected"):  # the switch about SSAST's pooling is not about AudioMAE
        config = model_config(fitted, recipe, load_protocol(protocol), CLASSES)
        assert (config.pooling, config.stride, config.prefix) == ("patches", (16, 16), 1)
    model = build_backbone(config, fitted, checkpoint=checkpoint, weights_seed=0)
    model.mlp_head.load_state_dict(
        {name.removeprefix("mlp_head."): tensor for name, tensor in checkpoint.head.items()}
    )  # fmt: skip
    return model.double().eval()


def save(tensors: dict[str, torch.Tensor], path: Path) -> Path:
    safetensors.torch.save_file({name: tensor.float().contiguous() for name, tensor in tensors.items()}, path)
    return path


def test_logits_are_those_of_timm(tmp_path: Path) -> None:
    twin = timms()
    model = ours(save(twin.state_dict(), tmp_path / "model.safetensors"), 1024)
    twin.load_state_dict({name: tensor.float() for name, tensor in twin.state_dict().items()})
    random = torch.Generator().manual_seed(1)
    features = torch.randn(2, 1024, 128, generator=random, dtype=torch.float64)
    features[1, 500:] = 0.6  # a clip that is padded
    with torch.no_grad():
        found, expected = model(features), twin(features.unsqueeze(1))
    assert float((found - expected).abs().max()) < 1e-9
    assert float(found.std()) > 0.1  # the comparison is of numbers that differ


def reference_positions(embedding: torch.Tensor, frames: int) -> torch.Tensor:
    """AudioMAE@877faec util/pos_embed.py: `interpolate_pos_embed_audio` from orig_size (8, 64) to (8, frames / 16).

    Longer inputs: `interpolate_pos_embed_img2audio`, on the same plane.
    """
    width, columns = embedding.shape[2], frames // 16
    plane = embedding[:, 1:].reshape(-1, 8, 64, width)
    if columns <= 64:
        plane = plane[:, :, :columns, :]
    else:
        plane = torch.nn.functional.interpolate(
            plane.permute(0, 3, 1, 2), size=(8, columns), mode="bicubic", align_corners=False
        ).permute(0, 2, 3, 1)
    return torch.cat([embedding[:, :1], plane.flatten(1, 2)], dim=1)


@pytest.mark.parametrize("frames", [128, 400, 1024, 1168])
def test_other_lengths_follow_the_official_rule(frames: int, tmp_path: Path) -> None:
    twin = timms()
    model = ours(save(twin.state_dict(), tmp_path / "model.safetensors"), frames)
    there = timms(frames // 16 * 16)
    tensors = {name: tensor.float().double() for name, tensor in twin.state_dict().items()}
    there.load_state_dict({**tensors, "pos_embed": reference_positions(tensors["pos_embed"], frames)})
    features = torch.randn(1, frames, 128, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        expected = there(features[:, : frames // 16 * 16].unsqueeze(1))
        assert float((model(features) - expected).abs().max()) < (1e-9 if frames <= 1024 else 2e-6)


def test_fixed_positions_are_the_official_sines() -> None:
    """AudioMAE@877faec util/pos_embed.py `get_2d_sincos_pos_embed_flexible`, written in numpy there."""
    width, rows, columns = 32, 8, 64
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=0)  # columns first
    omega = 1 / 10000 ** (np.arange(width // 4) / (width / 4))
    halves = [np.einsum("m,d->md", part.reshape(-1), omega) for part in grid]
    expected = np.concatenate([part for half in halves for part in (np.sin(half), np.cos(half))], axis=1)
    found = sine_positions(width, (rows, columns))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    stated = load_backbone("audiomae").architecture.positions
    cut = adapt_positional(found[None], (8, 64), (8, 25), 0, stated)
    assert torch.equal(cut[0], sine_positions(width, (8, 25)))  # the sines of the shorter grid itself


def test_nothing_trains_fixed_positions_and_counts_are_official() -> None:
    checked = CheckedBackbone.named("audiomae")
    assert run_backbone_check("parameters", checked) is None
    head = 2 * 768 + 769 * CLASSES
    for name in ("audiomae", "audiomae-ft"):
        assert load_backbone(name).parameters["base"] + head == 85_659_407  # README of AudioMAE, log of fine-tuning
    model = checked.model(128)
    assert "v.pos_embed" not in dict(model.named_parameters())
    assert "v.pos_embed" in model.backbone_tensors()


@pytest.mark.parametrize("check", ["builds", "order", "slots", "sites", "prompts", "state_dict"])
def test_it_keeps_the_contract(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "tiny", TINY)
    assert run_backbone_check(check, CheckedBackbone.named("audiomae")) is None


def test_only_ast_and_ssast_keep_the_official_place_of_prompts() -> None:
    """Defect D26: without a dist token the official prompts still begin at token 2."""
    found = {}
    for name, distilled in (("audiomae", False), ("ssast", False), ("ssast", True), ("ast", True)):
        checked = CheckedBackbone.named(name)
        choice = checked.choice.model_copy(update={"pretrained": Pretrained(distilled=distilled)})
        config = model_config(choice, checked.recipe("esc50"), load_protocol("reference"), CLASSES)
        found[name, distilled] = (config.prefix, config.overwritten_from)
    assert found["audiomae", False] == (1, 1)
    assert found["ssast", False] == (1, 2)
    assert found["ssast", True] == found["ast", True] == (2, 2)


def pretraining(model: Any) -> dict[str, torch.Tensor]:
    """What the authors' pretrained.pth has: a last LayerNorm and a decoder, no head."""
    kept = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(("fc_norm", "head"))}
    more = {"norm.weight": torch.ones(TINY.width), "norm.bias": torch.zeros(TINY.width)}
    return {**kept, **more, "mask_token": torch.zeros(1, 1, 8), "decoder_pred.weight": torch.zeros(256, 8)}


def test_every_published_form_is_read(tmp_path: Path) -> None:
    twin = timms()
    folder = tmp_path / "hub"
    folder.mkdir()
    torch.save(twin.state_dict(), folder / "pytorch_model.bin")
    config = {"architecture": "vit_base_patch16_224", "pretrained_cfg": {"input_size": [1, 1024, 128]}}
    (folder / "config.json").write_text(json.dumps(config))
    torch.save({"model": pretraining(twin), "epoch": 32}, tmp_path / "pretrained.pth")
    found = {path: read_checkpoint(path) for path in (folder, tmp_path / "pretrained.pth")}
    for checkpoint in found.values():
        assert (checkpoint.layout, checkpoint.family) == ("AudioMAE (timm)", "audiomae")
        assert (checkpoint.grid, checkpoint.shape, checkpoint.mels) == ((8, 64), TINY, 128)
        assert not checkpoint.final_norm
    assert set(found[folder].head) == {f"mlp_head.{part}.{kind}" for part in (0, 1) for kind in ("weight", "bias")}
    assert found[tmp_path / "pretrained.pth"].dropped == (
        "decoder_pred.weight", "mask_token", "norm.bias", "norm.weight",
    )  # fmt: skip
    save_checkpoint(found[folder], tmp_path / "own.safetensors", half=False)
    again = read_checkpoint(tmp_path / "own.safetensors")
    assert (again.layout, again.family, again.final_norm) == ("AAT benchmark", "audiomae", False)
    assert all(torch.equal(tensor, again.tensors[name]) for name, tensor in found[folder].tensors.items())


def test_wrong_files_are_one_line(tmp_path: Path) -> None:
    path = save(timms().state_dict(), tmp_path / "model.safetensors")
    for text, expected in (
        ("ssast", r"is of the family audiomae: name it audiomae\[weights=FILE\]$"),
        ("ast", r"is of the family audiomae: name it audiomae\[weights=FILE\]$"),
    ):
        [choice] = resolve_backbones(f"{text}[weights={path}]", "test")
        located, found = locate(choice, tmp_path)
        assert found is not None
        with pytest.raises(BenchmarkError, match=expected):
            fit(located, found)
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": {"input_size": [3, 224, 224]}}))
    with pytest.raises(BenchmarkError, match=r"input_size \[3, 224, 224\], expected \[1, frames, mel bands\]"):
        read_checkpoint(path)
