"""Each check catches the fault it is for, and every method of the suite passes all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.methods import huggingface
from benchmark.methods.contract import Composed
from benchmark.methods.registry import REGISTRY, methods, resolve_methods
from benchmark.spec.backbone import SHAPES, Shape
from benchmark.testing import CHECKS, MethodConformance, conform, run_check
from tests.conftest import Cli, json_of

HEAD = """
import os, torch
from dataclasses import dataclass
from typing import Any, ClassVar
from torch import nn
from benchmark.methods import Method, ParamGroup, register

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
    "registered": (
        INSERT + part("return self.parts[0](x)", "self.parts = [nn.Linear(width, width)]"),
        "v.blocks.0.broken (Part): self.parts is a list with modules (Linear), which torch does not register: use nn.M",
    ),
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


HIDDEN = {
    "self.parts = {'a': [nn.Linear(width, width)]}": "self.parts is a dict with modules (Linear)",
    "self.parts = (nn.Parameter(torch.ones(width)),)": "use nn.ParameterList",
    "self.parts = [torch.ones(width)]": "self.parts is a list with tensors",
    "self.scale = torch.ones(width)": "self.scale is a Tensor that torch does not register: use self.register_buffer",
}


@pytest.mark.parametrize("init", HIDDEN)
def test_what_torch_does_not_register_is_found(init: str, tmp_path: Path) -> None:
    fault = run_check("registered", method_of(INSERT + part("return self.weight * x", init), tmp_path))
    assert fault is not None
    assert HIDDEN[init] in fault


def test_what_is_registered_elsewhere_may_be_in_a_list(tmp_path: Path) -> None:
    init = "self.layer = nn.Linear(width, width); self.parts = [self.layer, self.weight, 3]"
    assert run_check("registered", method_of(INSERT + part("return self.layer(x)", init), tmp_path)) is None


def test_a_layer_that_is_not_saved_is_found(tmp_path: Path) -> None:
    body = INSERT + part("return self.weight * x + self.parts[0](x)", "self.parts = [nn.Linear(width, width)]")
    fault = run_check("save_load", method_of(body, tmp_path))
    assert fault is not None
    assert "a loaded model gives other logits" in fault


NAN = {
    "return self.weight * x * float('nan')": "the loss of training step 1 is nan",
    "return self.weight * x / (self.training or x.shape[1] < 500)": "logits are not finite",
}


@pytest.mark.parametrize("forward", NAN)
def test_after_a_result_that_is_not_finite_no_check_gives_other_advice(forward: str, tmp_path: Path) -> None:
    found = list(conform(method_of(INSERT + part(forward), tmp_path)))
    [fault] = [finding.fault for finding in found if finding.fault]
    assert found[-1].fault == fault
    assert NAN[forward] in fault
    assert "splits, overfits" in found[-1].notes[-1]


GROUPS = """
    def param_groups(self, names):
        gates = tuple(name for name in names if name.endswith("weight"))
        return [ParamGroup(gates, lr_scale=10), ParamGroup((), lr_scale=3)]
"""


def test_the_command_says_what_is_trained(cli: Cli, tmp_path: Path) -> None:
    unfit = part("return x * self.weight", "self.parts = [nn.Linear(1, 1)]")  # no check after `registered`
    (tmp_path / "mine.py").write_text(HEAD + INSERT + GROUPS + unfit)
    shown = cli("check", tmp_path / "mine.py").stdout
    assert "trains 256 parameters in 2 tensors on ast[size=tiny" in shown
    assert "broken.weight (blocks 0, 1); groups: broken.weight (blocks 0, 1) lr x10 (2 tensors); head" in shown
    assert "a group of param_groups() is empty (lr x3)" in shown
    assert "rule: Modules and tensors are registered" in shown


def test_a_method_that_trains_the_head_alone_is_noted() -> None:
    found = next(conform(resolve_methods("linear", "test")[0]))
    assert (found.check, found.fault) == ("builds", None)
    assert found.notes == ("trains nothing beside the head (1,288 parameters), as `linear` does",)


ADAPT_RAISES = "    def adapt(self, model):\n        return {}[5]\n"
RAISES = {
    ADAPT_RAISES: "mine.py, line 20, in adapt: KeyError: 5",
    "    def adapt(self, model):\n        pass\n": "adapt() returned None; return the names of the parameters to train",
    "    def adapt(self, model):\n        return 'head'\n": "adapt() returned str 'head'",
    "    def adapt(self, model):\n        return model.parameters()\n": "adapt() returned a Parameter among the names",
    INSERT
    + part("return x[..., 1:]"): "module 'broken' at mlp_parallel of block 0 returns (..., 127), expected (..., 128)",
    INSERT + part("return x[..., :1]"): "returns (..., 1), expected (..., 128)",
    INSERT + part("return x, x"): "module 'broken' at mlp_parallel of block 0 returns tuple",
    INSERT + part("return x + {}[5]"): "in forward: KeyError: 5",
}


@pytest.mark.parametrize("body", RAISES)
def test_an_error_in_a_users_file_has_its_place(body: str, tmp_path: Path) -> None:
    fault = run_check("builds", method_of(body, tmp_path))
    assert fault is not None
    assert RAISES[body] in fault


@pytest.mark.parametrize("command", ["plan", "run"])
def test_plan_and_run_name_the_place_of_an_error(command: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HEAD + ADAPT_RAISES)
    chosen = ("--grid", "smoke", "--dataset", "esc50", "--backbone", "ast", "--results", tmp_path / "out")
    done = cli(command, *chosen, "--method", tmp_path / "mine.py")
    assert done.returncode == (3 if command == "plan" else 2)
    assert "mine.py, line 20, in adapt: KeyError: 5" in done.stdout + done.stderr


def method_of(body: str, folder: Path) -> Composed:
    """Return the method of a file with this body."""
    (folder / "mine.py").write_text(HEAD + body)
    [method] = resolve_methods(str(folder / "mine.py"), "test")
    return method


QUICK = ("frozen", "gradients", "identity", "configuration", "save_load")  # `check NAME` runs all of them


@pytest.fixture(autouse=True)
def _one_broken_method() -> None:
    """Forget the method of the last test, which is in another file."""
    REGISTRY.forget("broken")


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
