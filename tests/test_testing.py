"""Each check catches the fault it is for, and every method of the suite passes all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.methods import huggingface
from benchmark.methods.registry import methods, resolve_methods
from benchmark.spec.backbone import SHAPES, Shape
from benchmark.testing import CHECKS, MethodConformance, run_check
from tests.conftest import Cli, json_of

HEAD = """
import os, torch
from dataclasses import dataclass
from typing import Any, ClassVar
from torch import nn
from benchmark.methods import Method, register

class Zero(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
    def forward(self, x):
        return self.weight * x

@register("broken", label="Broken", source="test")
@dataclass(frozen=True, kw_only=True)
class Broken(Method):
    \"\"\"Broken.\"\"\"
"""
INSERT = """
    def adapt(self, model):
        for layer in range(len(model.blocks)):
            yield from model.insert("mlp_parallel", layer, "broken", Part(model.width))
"""


def part(forward: str, init: str = "pass") -> str:
    """Return the source of a module to insert."""
    return f"""
class Part(Zero):
    def __init__(self, width):
        super().__init__(width)
        {init}
    def forward(self, x):
        {forward}
"""


BROKEN = {
    "builds": (INSERT + part("return self.weight * x", "raise TypeError('no such layer')"), "TypeError: no such layer"),
    "shapes": (INSERT + part("return self.weight * x / (x.shape[1] < 500)"), "at 512 frames"),
    "frozen": (
        (
            "    def adapt(self, model):\n        self.seen.append(model)\n        return Sneaky.into(model)\n"
            "    seen: ClassVar[list[Any]] = []\n"
            "class Sneaky(Zero):\n"
            "    @staticmethod\n    def into(model):\n"
            "        made = Sneaky(model.width)\n        object.__setattr__(made, 'victim', model.v.norm)\n"
            "        return model.insert('mlp_parallel', 0, 'broken', made)\n"
            "    def forward(self, x):\n"
            "        if self.training:\n            self.victim.bias.data.add_(1e-3)\n        return self.weight * x\n"
        ),
        "v.norm.bias changed in training",
    ),
    "gradients": (INSERT + part("return 0 * x"), "v.blocks.0.broken.weight is trainable but never gets a gradient"),
    "instances": (
        (
            "    shared: ClassVar[Any] = None\n"
            "    def adapt(self, model):\n"
            "        if Broken.shared is None:\n            Broken.shared = Zero(model.width)\n"
            "        return model.insert('mlp_parallel', 0, 'broken', Broken.shared)\n"
        ),
        "two models share the tensor v.blocks.0.broken.weight",
    ),
    "identity": (
        "    identity_at_start: ClassVar[bool] = True\n" + INSERT + part("return x"),
        "identity_at_start is True, but logits differ",
    ),
    "configuration": (
        "    name_of: str = 'a'\n    def __reduce__(self):\n        return (Broken, ())\n"
        "    def __eq__(self, other):\n        return False\n" + INSERT + part("return self.weight * x"),
        "pickling changes it",
    ),
    "save_load": (
        INSERT + part("self.step += self.training; return (self.weight + 1e-2 * self.step) * x", "self.step = 0"),
        "state outside parameters and buffers is lost",
    ),
    "repeats": (
        INSERT + part("return self.weight * x + x * torch.tensor(list(os.urandom(8))).sum() / 255"),
        "draw only from torch's global generator",
    ),
    "splits": (INSERT + part("return self.weight * (x - x.mean(0))"), "depends on how a batch is split"),
    "overfits": (INSERT + part("return self.weight * x + 1e4 * torch.randn_like(x)"), "of 8 clips correct after"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_check_catches_its_fault(name: str, tmp_path: Path) -> None:
    body, expected = BROKEN[name]
    path = tmp_path / f"{name}.py"
    path.write_text((HEAD + body).replace('"broken"', f'"broken_{name}"', 1))
    [method] = resolve_methods(str(path), "test")
    fault = run_check(name, method)
    assert fault is not None
    assert expected in fault


QUICK = ("frozen", "gradients", "identity", "configuration", "save_load")  # `check NAME` runs all of them


@pytest.fixture(autouse=True)
def _two_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check on two blocks instead of twelve: a first and a last one."""
    monkeypatch.setitem(SHAPES, "tiny", Shape(width=128, depth=2, heads=2))


def test_every_check_has_a_method_that_it_catches() -> None:
    assert set(BROKEN) == set(CHECKS)


@pytest.mark.parametrize("name", methods())
def test_the_suites_methods_pass(name: str) -> None:
    [method] = resolve_methods(name, "test")
    assert {check: fault for check in QUICK if (fault := run_check(check, method))} == {}


@pytest.mark.skipif(not huggingface.installed(), reason="peft is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind", ["lora", "vera", "oft", "boft", "loha", "lokr", "ia3", "ln_tuning", "fourierft", "hra"]
)
def test_hugging_face_tuners_pass(kind: str) -> None:
    [method] = resolve_methods(f"peft/{kind}", "test")
    assert {check: fault for check in QUICK if (fault := run_check(check, method))} == {}


@pytest.mark.skipif(not huggingface.installed(), reason="peft is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_names_read_from_the_files_are_those_of_the_tuners() -> None:
    assert huggingface.names() == list(huggingface.tuners())


class TestBase(MethodConformance):
    """As a third-party package uses it."""

    method = "bitfit"


def test_the_command_names_what_is_wrong(cli: Cli, tmp_path: Path) -> None:
    body, _ = BROKEN["gradients"]
    (tmp_path / "mine.py").write_text(HEAD + body)
    done = cli("check", tmp_path / "mine.py")
    assert done.returncode == 1
    assert "FAIL gradients" in done.stdout
    assert "ok   shapes" in done.stdout
    assert cli("check", "nosuch").returncode == 2


def test_the_skeleton_passes(cli: Cli, tmp_path: Path) -> None:
    made = json_of(cli("new", "method", "my_method", "--folder", tmp_path, "--json"), "new method")
    assert made["path"] == str(tmp_path / "my_method.py")
    assert made["commands"]["check it"] == f"python -m benchmark check {tmp_path / 'my_method.py'}"
    again = cli("new", "method", "my_method", "--folder", tmp_path)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    done = cli("check", tmp_path / "my_method.py")
    assert done.returncode == 0, done.stdout
    assert "all checks passed" in done.stdout
    assert cli("new", "method", "lora", "--folder", tmp_path).returncode == 2
    assert cli("new", "method", "My-Method", "--folder", tmp_path).returncode == 2
