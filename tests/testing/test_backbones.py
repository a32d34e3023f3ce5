"""Backbones from outside: files, classes, YAML; each check catches its lie, and the suite's backbones pass."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from benchmark.errors import BenchmarkError
from benchmark.methods.registry import methods
from benchmark.models.attention import Attention
from benchmark.models.class_checkpoint import read_weights
from benchmark.models.fit import fit
from benchmark.models.outside import resolve_backbones
from benchmark.models.transformer import AudioTransformer
from benchmark.models.weights import locate
from benchmark.records.store import ResultStore
from benchmark.spec.backbone import SHAPES, Shape, forget_backbone, load_backbone
from benchmark.spec.request import TrialRequest
from benchmark.testing import BackboneConformance, backbones
from benchmark.testing.backbones import BACKBONE_CHECKS, CheckedBackbone, run_backbone_check
from benchmark.trial.build import build_model
from tests.checkpoints import official_ast, official_ssast
from tests.conftest import Cli

HEAD = """
import torch
from torch import nn
from benchmark.models.contract import Slot
from benchmark.models.registry import AudioTransformer, register_backbone

def swapped(**slots):
    return {**AudioTransformer.SLOTS, **slots}

class Bent(nn.Linear):
    def forward(self, x):
        return super().forward(x).tanh()

@register_backbone(
    "NAME", label="Mine", source="arXiv:2104.01778", pretraining="supervised", grid=(12, 101), pooling="cls",
    STATED
)
class Mine(AudioTransformer):
    \"\"\"AST with ReLU in its MLPs.\"\"\"
"""
RELU = """
    def make_block(self, config):
        block = super().make_block(config)
        block.mlp.act = nn.ReLU()
        return block
"""
MIXER = """
    ATTENTION = "mixer"
    def make_block(self, config):
        block = super().make_block(config)
        block.mixer = block.attn
        del block.attn
        return block
"""
BENT = """
    def make_block(self, config):
        block = super().make_block(config)
        block.mlp.fc1 = Bent(128, 512)
        return block
"""
STATE = """
    def forward(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return super().forward(x) + self.calls
"""
BARE = """
from benchmark.models.registry import AudioTransformer
class Mine(AudioTransformer):
    pass
"""
STATED_RATE = """
label: a
description: b
source: c
size: demo
weights: pretrained
pretraining: supervised
grid: [8, 10]
pooling: cls
input: {rate: 22050}
"""
LIES = {
    "builds": (
        "    def embed(self, patches):\n        return super().embed(patches)[:, 1:]\n",
        "",
        "2 class tokens and 12x9 patches are stated",
    ),
    "order": (
        "    def patches(self, x):\n        return super().patches(x).flip(1)\n",
        "",
        "changes patch token [99] instead of 8",
    ),
    "parameters": (
        "    pass\n",
        "parameters={'base': 86_000_000}",
        "has 86,187,264 parameters without the head, but 86,000,000 are stated",
    ),
    "prompts": (
        "    def pool(self, tokens):\n        return tokens[:, self.config.prefix:].mean(dim=1)\n",
        "",
        "prompts=overwrite: the head's input depends on prompts, which must not be pooled",
    ),
    "fewer": (
        "    def pool(self, tokens):\n        return tokens[:, 2 + 2 * self.prompt_tokens:].mean(dim=1)\n",
        "",
        "prompts=overwrite: token 6 is pooled without prompts, but not with 4 prompts",
    ),
    "swapped": (
        "    SLOTS = swapped(q=AudioTransformer.SLOTS['v'], v=AudioTransformer.SLOTS['q'])\n",
        "",
        "slot 'v' of block 0 (attn.qkv): with zeros, the attention's output is not the bias",
    ),
    "up": (
        "    SLOTS = swapped(up=Slot('mlp.fc2'), down=Slot('mlp.fc1'))\n",
        "",
        "slot 'up' of block 0 (mlp.fc2): has 512 inputs, but tokens have 128 channels",
    ),
    "missing": ("    SLOTS = swapped(o=Slot('attn.out'))\n", "", "slot 'o' of block 0 (attn.out): no such layer"),
    "bent": (
        BENT,
        "",
        "slot 'up' of block 0 (mlp.fc1): its output is not weight times input plus bias: it is not linear",
    ),
    "parts": ("    SLOTS = swapped(k=Slot('attn.proj', 1, 3))\n", "", "part 1 of 3 is stated, but the layer has 128"),
    "norm": ("    SLOTS = swapped(down=Slot('norm1'))\n", "", "LayerNorm has no weight of two dimensions"),
    "state": (STATE, "", "a second call with the same input gives other logits"),
}


def source(name: str, stated: str = "", body: str = RELU) -> str:
    return HEAD.replace("NAME", name).replace("STATED", stated) + body


CHECK_OF = {
    "builds": "builds",
    "order": "order",
    "parameters": "parameters",
    "prompts": "prompts",
    "fewer": "prompts",
    "state": "state_dict",
}


@pytest.fixture(autouse=True)
def _two_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check on two blocks instead of twelve, and forget the backbones of a test."""
    monkeypatch.setitem(SHAPES, "tiny", Shape(width=128, depth=2, heads=2))
    yield
    for name in ("relu", *(f"lie-{name}" for name in LIES), "variant"):
        forget_backbone(name)


def write(folder: Path, body: str, name: str = "relu", stated: str = "") -> Path:
    path = folder / f"{name.replace('-', '_')}.py"
    path.write_text(source(name, stated, body))
    return path


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_caught_in_one_line(lie: str, tmp_path: Path) -> None:
    body, stated, expected = LIES[lie]
    path = write(tmp_path, body, f"lie-{lie}", stated)
    fault = run_backbone_check(CHECK_OF.get(lie, "slots"), CheckedBackbone.named(str(path)))
    assert fault is not None
    assert str(expected) in fault
    assert "\n" not in fault


def test_a_zero_in_the_output_slot_leaves_the_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself: an attention that adds its input is caught."""
    plain = Attention.forward
    monkeypatch.setattr(Attention, "forward", lambda self, x: plain(self, x) + x)
    fault = run_backbone_check("slots", CheckedBackbone.named("ast"))
    assert fault is not None
    assert "with zeros, the attention's output is not the bias" in fault or "attend equally" in fault


class TestAst(BackboneConformance):
    """As a third-party package uses it, with other code of the same model."""

    backbone = "ast"

    @staticmethod
    def reference(model: AudioTransformer, features: torch.Tensor) -> torch.Tensor:
        """Return the logits, written out."""
        config, weights = model.config, dict(model.state_dict())
        heads, norm = config.shape.heads, torch.nn.functional.layer_norm

        def linear(name: str, x: torch.Tensor) -> torch.Tensor:
            return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

        def normed(name: str, x: torch.Tensor, eps: float = 1e-6) -> torch.Tensor:
            return norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps)

        kernel = weights["v.patch_embed.proj.weight"].flatten(1)
        cut = torch.nn.functional.unfold(features[:, None].mT, 16, stride=config.stride)
        x = (kernel @ cut).mT + weights["v.patch_embed.proj.bias"]
        tokens = [weights[name].expand(len(x), -1, -1) for name in ("v.cls_token", "v.dist_token")]
        x = torch.cat([*tokens, x], dim=1) + weights["v.pos_embed"]
        for block in (f"v.blocks.{layer}" for layer in model.layers):
            joint = linear(f"{block}.attn.qkv", normed(f"{block}.norm1", x)).unflatten(-1, (3, heads, -1))
            q, k, v = joint.permute(2, 0, 3, 1, 4)
            attended = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v
            x = x + linear(f"{block}.attn.proj", attended.transpose(1, 2).flatten(2))
            hidden = torch.nn.functional.gelu(linear(f"{block}.mlp.fc1", normed(f"{block}.norm2", x)))
            x = x + linear(f"{block}.mlp.fc2", hidden)
        return linear("mlp_head.1", normed("mlp_head.0", normed("v.norm", x)[:, :2].mean(1), 1e-5))

    @pytest.fixture(autouse=True)
    def _few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(backbones, "methods", lambda: {name: methods()[name] for name in ("lora", "ssf")})


def test_another_reference_is_caught() -> None:
    checked = CheckedBackbone.named("ast", lambda model, x: model(x) + 1e-6)
    assert "differ by 1e-06 from the reference's" in str(run_backbone_check("agrees", checked))


def test_baselines_name_no_layer_of_one_architecture() -> None:
    layers = re.compile(r"v\.blocks|\battn\.|\bmlp\.|\.qkv|fc1|fc2|v\.norm|patch_embed|\.blocks\b|config\.grid")
    folder = Path(__file__).parents[2] / "baselines"
    found = {path.name: layers.findall(path.read_text()) for path in folder.glob("*.py")}
    assert {name: names for name, names in found.items() if names} == {}


def test_a_file_is_a_backbone_and_its_content_is_part_of_the_id(
    tmp_path: Path, make_request: Callable[..., TrialRequest]
) -> None:
    path = write(tmp_path, RELU)
    text = f"{path}[size=demo;weights=random:0]"
    first = make_request(backbones=[text])
    assert first.backbone.variant == "relu[size=demo;weights=random:0]"
    assert first.backbone.outside is not None
    assert make_request(backbones=[text.replace(".py", ".py:Mine")]).id == first.id
    assert "outside" not in make_request().model_dump(mode="json")["backbone"]
    model = build_model(first, 3).model
    assert type(model).__name__ == "Mine"
    assert type(model.blocks[0].mlp.act) is torch.nn.ReLU
    path.write_text(path.read_text() + "\n# changed\n")
    assert make_request(backbones=[text]).id != first.id
    with pytest.raises(BenchmarkError, match="but this trial was planned with"):
        build_model(first, 3)


def test_a_yaml_file_is_a_variant(tmp_path: Path, make_request: Callable[..., TrialRequest]) -> None:
    path = tmp_path / "variant.yaml"
    path.write_text(
        "label: Variant\ndescription: AST without class tokens\nsource: test\nsize: demo\nweights: pretrained\n"
        "pretraining: supervised\ngrid: [8, 10]\npooling: patches\n"
        "architecture: {class_tokens: 0, tokens: time, positions: {kind: fixed, rows: time}, final_norm: false}\n"
    )
    first = make_request(backbones=[f"{path}[weights=random:0]"])
    model = build_model(first, 3).model
    assert list(model.backbone_tensors())[:2] == ["v.pos_embed", "v.patch_embed.proj.weight"]
    assert (first.backbone.outside, model.config.prefix) == (load_backbone("variant").outside, 0)
    checked = CheckedBackbone.named(str(path))
    assert {name: run_backbone_check(name, checked) for name in list(BACKBONE_CHECKS)[:-1] if name != "shapes"} == {
        name: None for name in list(BACKBONE_CHECKS)[:-1] if name != "shapes"
    }
    path.write_text(path.read_text().replace("first", "middle") + "parameters: {demo: 1}\n")
    assert make_request(backbones=[f"{path}[weights=random:0]"]).id != first.id


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("nosuch.py", None, "no such file"),
        ("nosuch.yaml", None, "no such backbone file"),
        ("broken.py", "def broken(:", "does not import: SyntaxError"),
        ("empty.py", "x = 1", "has no such backbone (a class derived from AudioTransformer)"),
        ("bare.py", BARE, 'put @register_backbone("NAME", label=..., ...) above class Mine'),
        ("taken.py", source("ast"), "'ast' is registered twice: the suite"),
        ("upper.yaml", "label: a\n", "Field required"),
        ("wrong.yaml", STATED_RATE, "input.rate: Input should be 16000, got 22050"),
        (
            "stated.py",
            source("stated", "architecture={'class_token': 1}"),
            "backbone 'stated': architecture.class_token: unknown key (did you mean 'class_tokens'?)",
        ),
    ],
)
def test_bad_input_is_one_line(name: str, text: str | None, expected: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(BenchmarkError) as caught:
        resolve_backbones(f"{path}[weights=random:0]", "--backbone")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_a_class_are_read_under_its_names(tmp_path: Path) -> None:
    body = RELU + (
        "    @classmethod\n    def rename_tensors(cls, tensors):\n"
        "        return {f'v.{name}': tensor for name, tensor in tensors.items() if name != 'extra'}\n"
    )
    path = write(tmp_path, body)
    [choice] = resolve_backbones(f"{path}[size=demo;weights={tmp_path / 'w.pt'}]", "test")
    made = build_backbone_tensors(choice.model_copy(update={"weights": "random:0"}))
    torch.save({"extra": torch.zeros(1), **made}, tmp_path / "w.pt")
    located, file = locate(choice, tmp_path)
    assert file is not None
    found = read_weights(located, file)
    assert (found.layout, found.family, set(found.tensors)) == ("Mine", "relu", {f"v.{name}" for name in made})
    made.popitem()
    torch.save(made, tmp_path / "w.pt")
    with pytest.raises(BenchmarkError, match=r"w.pt: relu: missing v\.norm\.bias; the file's tensors begin .*rename_t"):
        read_weights(located, file)


def test_whose_foreign_weights_are_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, MIXER)
    torch.save(official_ast(Shape(width=192, depth=12, heads=3), classes=4), tmp_path / "ast.pth")
    [choice] = resolve_backbones(f"{path}[size=tiny;weights={tmp_path / 'ast.pth'}]", "test")
    with pytest.raises(BenchmarkError) as caught:
        read_weights(*locate(choice, tmp_path))  # type: ignore[arg-type]
    assert "missing v.blocks.0.mixer" in str(caught.value)
    assert "the file looks like official AST; map its names in Mine.rename_tensors" in str(caught.value)


def test_a_class_of_a_family_takes_its_published_weights(tmp_path: Path) -> None:
    path = write(tmp_path, RELU, stated="architecture={'family': 'ast'}")
    shape = Shape(width=192, depth=1, heads=3)
    torch.save(official_ast(shape, classes=4), tmp_path / "ast.pth")
    [choice] = resolve_backbones(f"{path}[weights={tmp_path / 'ast.pth'}]", "test")
    located, file = locate(choice, tmp_path)
    assert file is not None
    fitted = fit(located, file)
    assert (fitted.shape, read_weights(fitted, file).layout) == (shape, "official AST")
    torch.save(official_ssast(shape), tmp_path / "ssast.pth")
    [choice] = resolve_backbones(f"{path}[weights={tmp_path / 'ssast.pth'}]", "test")
    with pytest.raises(BenchmarkError, match="is of the family ssast"):
        fit(*locate(choice, tmp_path))  # type: ignore[arg-type]


def build_backbone_tensors(choice: object) -> dict[str, torch.Tensor]:
    from benchmark.models.build import bare_model
    from benchmark.models.class_checkpoint import pretraining_config

    model = bare_model(choice, pretraining_config(choice))  # type: ignore[arg-type]
    return {name.removeprefix("v."): tensor for name, tensor in model.backbone_tensors().items()}


def test_the_command_checks_and_runs_a_file(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: check for name, check in BACKBONE_CHECKS.items() if name in {"builds", "slots"}}
    monkeypatch.setattr(backbones, "BACKBONE_CHECKS", kept)
    path = write(tmp_path, RELU)
    done = cli("check", "backbone", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   slots" in done.stdout
    lying = write(tmp_path, "    SLOTS = swapped(o=Slot('attn.out'))\n", "lie-up")
    done = cli("check", "backbone", lying)
    assert (done.returncode, "FAIL slots" in done.stdout) == (1, True)
    for words, expected in ((("backbone",), "name a backbone"), (("backbone", "nosuch"), "unknown backbone 'nosuch'")):
        done = cli("check", *words)
        assert (done.returncode, expected in done.stderr) == (2, True), done.stderr
    run = [
        "run",
        "--grid",
        "smoke",
        "--method",
        "linear",
        "--keep-weights",
        "--no-report",
        "--results",
        tmp_path / "out",
    ]
    done = cli(*run, "--backbone", f"{path}[size=demo;weights=random:0]")
    assert done.returncode == 0, done.stdout + done.stderr
    [record] = ResultStore(tmp_path / "out").records()
    assert record.request.backbone.name == "relu"
    assert set(record.plugins) == {"backbone relu"}
    forget_backbone("relu")  # as in another process, which reports without the file
    export = ["export", record.id, "--results", tmp_path / "out", "--out", tmp_path / "exported"]
    done = cli(*export)
    assert (done.returncode, "name its file with --backbone" in done.stderr) == (2, True)
    done = cli(*export, "--backbone", path)
    assert done.returncode == 0, done.stderr
    forget_backbone("relu")
    status = json.loads(cli("status", "--results", tmp_path / "out", "--json").stdout)
    assert {trial["state"] for trial in status["trials"]} == {"done"}
    assert "% no entry is known for backbone relu" in cli("cite", "--results", tmp_path / "out").stdout


def test_steps_of_another_architecture_have_other_costs(
    tmp_path: Path, make_request: Callable[..., TrialRequest]
) -> None:
    weights = "[size=demo;weights=random:0]"
    names = ("ast", str(write(tmp_path, RELU)), "audiomae", "audiomae-ft")
    keys = [make_request(backbones=[f"{name}{weights}"]).step_key for name in names]
    assert len(set(keys)) == 3
    assert keys[2] == keys[3]
