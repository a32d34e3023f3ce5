"""The Transformer against the official implementation's numbers, and its sites."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.methods.registry import resolve_methods
from benchmark.models.abstract import abstract_tensors
from benchmark.models.attach import SITES
from benchmark.models.transformer import AudioTransformer, ModelConfig
from benchmark.spec.backbone import SHAPES

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "golden.json").read_text())
METHODS = {
    (): "full",
    ("head",): "linear",
    ("head", "partial"): "partial",
    ("head", "prompt"): "prompt",
    ("head", "mlp"): "aat_m",
    ("head", "mlp", "spatial"): "aat_ms",
    ("head", "prompt", "mlp", "spatial"): "aat_ms+prompt",
}


def small(**changes: object) -> AudioTransformer:
    values = {"shape": SHAPES["demo"], "mels": 32, "frames": 64, "stride": (16, 16), "classes": 3}
    torch.manual_seed(0)
    return AudioTransformer(ModelConfig(**{**values, **changes})).double().eval()  # type: ignore[arg-type]


def by_rule(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The golden file's rule for weights."""
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype("float32")
    values *= np.float32(0.02)
    return torch.from_numpy(values + 1 if len(shape) == 1 and name.endswith(".weight") else values)


CASES = [case for case in GOLDEN["model_cases"] if case["name"].startswith("aat_ast_tiny224_t128")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_logits_are_the_official_ones(case: dict) -> None:
    ctor, given = case["ctor"], case["input"]
    config = ModelConfig(SHAPES["tiny"], 128, ctor["input_tdim"], (10, 10), ctor["label_dim"])
    model = AudioTransformer(config)
    [method] = resolve_methods(METHODS[tuple(ctor["adapter"])], "test")
    method.adapt(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(by_rule(name, tuple(parameter.shape)))
    shape = (given["batch"], given["frames"], given["mels"])
    x = torch.from_numpy(np.random.RandomState(given["seed"]).standard_normal(shape).astype("float32"))
    for precise, key, tolerance in ((False, "expected_logits", "f32"), (True, "expected_logits_f64", "f64")):
        logits = (model.double()(x.double()) if precise else model(x)).detach().numpy()
        assert np.abs(logits - np.array(case[key])).max() < case["tolerance"][tolerance]


@pytest.mark.parametrize("site", SITES)
def test_a_site_is_where_its_name_says(site: str) -> None:
    model = small()
    x = torch.randn(2, 64, 32, dtype=torch.float64)
    seen: dict[str, torch.Tensor] = {}

    class Probe(nn.Module):
        def forward(self, y: torch.Tensor) -> torch.Tensor:
            seen["in"] = y
            return torch.zeros_like(y) if site.endswith("parallel") else y

    before = model(x)
    norm, layer = ("norm1", "attn") if site.startswith("attn") else ("norm2", "mlp")
    block = model.blocks[1]
    block.get_submodule(norm).register_forward_hook(lambda *call: seen.update(normed=call[2]))
    block.get_submodule(layer).register_forward_hook(lambda *call: seen.update(out=call[2]))
    model.insert(site, 1, "probe", Probe())  # type: ignore[arg-type]
    assert torch.equal(model(x), before)
    assert torch.equal(seen["in"], seen["normed" if site.endswith("parallel") else "out"])


class Scale(nn.Module):
    """Multiplies by a factor, which is a parameter."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.factor * y


def test_sites_chain_in_sequence_and_sum_in_parallel_whatever_was_added_first() -> None:
    model = small()
    block = model.blocks[0]
    y = torch.randn(1, 5, 64, dtype=torch.float64)
    x = y + block.attn(block.norm1(y))
    normed = block.norm2(x)
    output = block.mlp(normed)
    for name, factor in (("a", 2.0), ("b", 3.0)):
        model.insert("mlp_parallel", 0, f"p_{name}", Scale(factor))
        model.insert("mlp_out", 0, name, Scale(factor))
    torch.testing.assert_close(block(y), x + 6 * output + 5 * normed)
    model.attach("v.blocks.0.mlp", "c", Scale(7.0), parallel=True)  # before what is at the sites
    torch.testing.assert_close(block(y), x + 6 * (output + 7 * normed) + 5 * normed)


def test_attached_modules_act_in_the_order_of_attachment() -> None:
    model = small()
    layer = model.v.blocks[0].attn.qkv
    y = torch.randn(1, 5, 64, dtype=torch.float64)
    output = layer(y)
    model.attach("v.blocks.0.attn.qkv", "first", Scale(2.0), parallel=False)
    widen = nn.Linear(64, 192, bias=False).double()
    model.attach("v.blocks.0.attn.qkv", "second", widen, parallel=True)
    model.attach("v.blocks.0.attn.qkv", "third", Scale(3.0), parallel=False)
    torch.testing.assert_close(layer(y), 3 * (2 * output + widen(y)))


def test_added_modules_are_children_of_the_block_or_of_the_module_at_the_path() -> None:
    model = small()
    before = set(model.state_dict())
    names = model.insert("attn_out", 1, "site", Scale(2.0))
    names += model.attach("v.blocks.1.attn.qkv", "side", Scale(2.0), parallel=False)
    assert names == ["v.blocks.1.site.factor", "v.blocks.1.attn.qkv.side.factor"]
    assert set(model.state_dict()) == before | set(names)
    with pytest.raises(ValueError, match=r"no module 'v\.nowhere'"):
        model.attach("v.nowhere", "side", nn.Identity(), parallel=True)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_has_added_modules_of_its_own(copied: Callable[[AudioTransformer], AudioTransformer]) -> None:
    model = small()
    model.insert("mlp_out", 0, "site", Scale(2.0))
    model.attach("v.blocks.1.mlp.fc1", "side", Scale(2.0), parallel=False)
    x = torch.randn(1, 64, 32, dtype=torch.float64)
    before, twin = model(x), copied(model)
    assert torch.equal(twin(x), before)
    for name in ("v.blocks.0.site.factor", "v.blocks.1.mlp.fc1.side.factor"):
        last = twin(x)
        with torch.no_grad():
            twin.get_parameter(name).mul_(5)
        assert not torch.equal(twin(x), last)
    twin.insert("mlp_out", 0, "more", Scale(0.0))
    assert torch.equal(model(x), before)


def test_a_model_with_added_modules_is_freed_at_once() -> None:
    model = small()
    model.insert("mlp_out", 0, "site", Scale(2.0))
    model.attach("v.blocks.1.mlp.fc1", "side", Scale(2.0), parallel=False)
    block = weakref.ref(model.blocks[0])
    gc.disable()
    try:
        del model
        assert block() is None
    finally:
        gc.enable()


def test_a_name_cannot_be_inserted_twice() -> None:
    model = small()
    model.insert("mlp_out", 0, "extra", nn.Identity())
    with pytest.raises(ValueError, match="'extra' already"):
        model.insert("attn_out", 0, "extra", nn.Identity())
    with pytest.raises(ValueError, match="unknown site"):
        model.insert("nowhere", 0, "other", nn.Identity())  # type: ignore[arg-type]


def test_prompts_overwrite_patches_or_are_inserted() -> None:
    lengths: dict[str, list[int]] = {}
    for mode in ("overwrite", "insert"):
        model = small(prompts=mode)
        plain = model(torch.zeros(1, 64, 32, dtype=torch.float64))
        model.add_prompts(3)
        model.double()
        seen = lengths.setdefault(mode, [])
        for block in model.blocks:
            block.register_forward_hook(lambda _, given, __, seen=seen: seen.append(given[0].shape[1]))
        x = torch.randn(1, 64, 32, dtype=torch.float64)
        before = model(x)
        with torch.no_grad():
            model.prompt_embeddings.mul_(50).add_(3)
        assert plain.shape == before.shape
        assert torch.equal(model(x), before) == (mode == "overwrite")  # defect D1: the first prompts are unused
    patches = 2 * 4
    assert set(lengths["overwrite"]) == {2 + patches}
    assert set(lengths["insert"]) == {2 + 3 + patches}


def test_patch_pooling_leaves_prompts_out() -> None:
    model = small(pooling="patches", prompts="insert")
    model.add_prompts(3)
    tokens = torch.randn(1, 2 + 3 + 8, 64)
    assert torch.equal(model.pool(tokens), tokens[:, 5:].mean(1))


def test_more_prompts_than_patches_cannot_overwrite() -> None:
    with pytest.raises(ValueError, match="cannot overwrite"):
        small().add_prompts(9)


def test_two_models_in_one_process_do_not_influence_each_other() -> None:
    x = torch.randn(1, 64, 32, dtype=torch.float64)
    first = small()
    before = first(x)
    second = small()
    second.add_prompts(2)
    second.insert("attn_out", 0, "extra", nn.Linear(64, 64))
    assert torch.equal(first(x), before)


def test_too_short_an_input_is_refused() -> None:
    with pytest.raises(ValueError, match="are less than a 16x16 patch"):
        small(frames=15)


def test_abstract_tensors_have_shapes_only_and_leave_real_ones_alone() -> None:
    with abstract_tensors():
        layer = torch.nn.Linear(3, 4)
        real = torch.nn.init.uniform_(torch.zeros(5, device="cpu"), 1, 2)
    assert (layer.weight.is_meta, layer.weight.shape, layer.weight.requires_grad) == (True, (4, 3), True)
    assert real.min() >= 1
