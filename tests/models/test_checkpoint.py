"""Every published format is recognised, checked and loaded; everything else is refused with a reason."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.models.build import build_backbone, from_checkpoint
from benchmark.models.checkpoint import Checkpoint, interpret, read_checkpoint, save_checkpoint
from benchmark.models.checkpoint_layout import Evidence
from benchmark.models.positional import adapt_positional
from benchmark.models.transformer import ModelConfig
from benchmark.models.weights import digest, locate
from benchmark.spec.backbone import SHAPES, Shape, resolve_backbones
from tests.checkpoints import Tensors, hugging_face, official_ast, official_ssast

SMALL = Shape(width=192, depth=2, heads=3)


def read(content: object, **evidence: Any) -> Checkpoint:
    return interpret(content, Evidence(**{"where": "x", **evidence}))


def saved(tensors: object, path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, path)  # type: ignore[arg-type]
    else:
        torch.save(tensors, path)
    return path


@pytest.mark.parametrize(
    ("tensors", "name", "layout", "distilled", "grid"),
    [
        (official_ast(SMALL), "ast.pth", "official AST", True, (12, 101)),
        (official_ssast(SMALL), "ssast.pth", "official SSAST", True, (8, 64)),
        (official_ssast(SMALL, distilled=False), "nokd.pth", "official SSAST", False, (8, 64)),
        (hugging_face(official_ast(SMALL)), "model.safetensors", "Hugging Face AST", True, (12, 101)),
        (hugging_face(official_ast(SMALL)), "pytorch_model.bin", "Hugging Face AST", True, (12, 101)),
    ],
    ids=["ast", "ssast", "ssast-nokd", "hf-safetensors", "hf-bin"],
)
def test_formats_are_recognised_by_their_keys(
    tmp_path: Path, tensors: Tensors, name: str, layout: str, distilled: bool, grid: tuple[int, int]
) -> None:
    found = read_checkpoint(saved(tensors, tmp_path / name))
    assert (found.layout, found.shape, found.distilled, found.grid) == (layout, SMALL, distilled, grid)
    assert (found.norm_eps, found.head_norm_eps) == (1e-6, 1e-5)
    assert set(found.tensors) == {key for key in found.tensors if key.startswith("v.") and "v.head" not in key}


def test_hugging_face_holds_the_same_weights_as_the_official_file() -> None:
    official = official_ast(SMALL)
    one, other = read(official), read(hugging_face(official))
    assert set(one.tensors) == set(other.tensors)
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    assert all(torch.equal(one.head[name], other.head[name]) for name in one.head)


def test_a_hugging_face_configuration_is_honoured(tmp_path: Path) -> None:
    saved(hugging_face(official_ast(SMALL)), tmp_path / "model.safetensors")
    alone = digest(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"layer_norm_eps": 1e-12}))
    found = read_checkpoint(tmp_path)
    assert (found.norm_eps, found.head_norm_eps) == (1e-12, 1e-12)
    assert digest(tmp_path) != alone


@pytest.mark.parametrize("half", [False, True])
def test_our_own_format_reads_back(tmp_path: Path, half: bool) -> None:
    found = read(official_ssast(SMALL))
    save_checkpoint(found, tmp_path / "own.safetensors", half=half)
    again = read_checkpoint(tmp_path / "own.safetensors")
    assert (again.layout, again.shape, again.grid, again.distilled) == ("AAT benchmark", SMALL, (8, 64), True)
    for name, tensor in found.tensors.items():
        torch.testing.assert_close(again.tensors[name], tensor, atol=1e-4 if half else 0, rtol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["own.safetensors"]


def without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {key: value for key, value in tensors.items() if key != f"module.{name}"}


def with_tensor(name: str, *shape: int) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, f"module.{name}": torch.zeros(shape)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("v.blocks.1.mlp.fc2.bias"), "missing v.blocks.1.mlp.fc2.bias"),
        (without("v.norm.weight"), "missing v.norm.weight"),
        (without("mlp_head.1.bias"), "missing mlp_head.1.bias"),
        (without("v.head.bias"), "missing v.head.bias"),
        (with_tensor("v.extra.weight", 3), "extra v.extra.weight"),
        (with_tensor("v.blocks.0.norm1.weight", 63), r"v.blocks.0.norm1.weight is \(63,\) instead of \(192,\)"),
        (
            with_tensor("v.pos_embed", 1, 1215, 192),
            "1213 positions fit no usual patch stride and mel bands; state those",
        ),
        (lambda t: without("v.norm.bias")(without("v.cls_token")(t)), "no known format"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_refused(change: Callable[[Tensors], Tensors], message: str) -> None:
    with pytest.raises(BenchmarkError, match=message) as caught:
        read(change(official_ast(SMALL)), where="file.pth")
    assert str(caught.value).startswith("file.pth: ")
    assert "\n" not in str(caught.value)


def test_all_problems_are_listed() -> None:
    broken = with_tensor("v.more", 1)(without("v.norm.bias")(official_ast(SMALL)))
    with pytest.raises(BenchmarkError, match=r"missing v\.norm\.bias, extra v\.more"):
        read(broken)


def test_a_frame_based_ssast_is_named() -> None:
    frame = {**official_ssast(SMALL), "module.v.patch_embed.proj.weight": torch.zeros(192, 1, 128, 2)}
    with pytest.raises(BenchmarkError, match=r"frame-based SSAST with patches of 128 mel bands x 2 frames.*Patch-400"):
        read(frame, where="SSAST-Base-Frame-400.pth")


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("harm"),))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "content",
    [pickle.dumps({"v": Harmful()}), b"", b"<!DOCTYPE html><html>link is dead</html>", b"\x80\x02}q\x00."],
    ids=["code", "empty", "page", "no-tensors"],
)
def test_what_is_no_checkpoint_is_refused_and_nothing_is_executed(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(BenchmarkError, match=r"a\.pth") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("frames", [128, 400, 512, 1024, 3000])
def test_any_length_is_adapted(frames: int) -> None:
    checkpoint = read(official_ast(SMALL))
    model = from_checkpoint(ModelConfig(SMALL, mels=128, frames=frames, stride=(10, 10), classes=3), checkpoint)
    grid = (12, (frames - 16) // 10 + 1)
    expected = adapt_positional(checkpoint.tensors["v.pos_embed"], (12, 101), grid, 2)
    assert torch.equal(model.v.pos_embed, expected)
    assert torch.equal(model.v.blocks[1].mlp.fc1.weight, checkpoint.tensors["v.blocks.1.mlp.fc1.weight"])
    assert model(torch.zeros(1, frames, 128)).shape == (1, 3)


def test_a_checkpoint_of_another_size_is_refused() -> None:
    [choice] = resolve_backbones("ssast[size=tiny]", "test")
    config = ModelConfig(SHAPES["tiny"], mels=128, frames=128, stride=(10, 10), classes=3)
    with pytest.raises(BenchmarkError, match=r"width=192 depth=2 .* ssast\[size=tiny\] has width=192 .*size"):
        build_backbone(config, choice, checkpoint=read(official_ssast(SMALL)), weights_seed=0)


def test_locating_weights(tmp_path: Path) -> None:
    [ast] = resolve_backbones("ast", "test")
    with pytest.raises(MissingInputError, match=r"checkpoint fetch ast`, or get audioset_10_10_0.4593.pth from"):
        locate(ast, tmp_path)
    path = saved(official_ast(SMALL), tmp_path / "audioset_10_10_0.4593.pth")
    found, where = locate(ast, tmp_path)
    assert (found.sha256, where) == (digest(path), path)
    assert found.variant == "ast"
    [own] = resolve_backbones(f"ast[weights={path}]", "test")
    located, _ = locate(own, tmp_path / "elsewhere")
    assert (located.weights, located.sha256) == ("file:audioset_10_10_0.4593.pth", found.sha256)
    [random] = resolve_backbones("ast[weights=random:3]", "test")
    assert locate(random, tmp_path) == (random, None)
