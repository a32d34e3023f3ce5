"""Methods from outside the suite: files, classes of modules, packages; and their errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.methods.registry import build_method, externals, resolve_methods
from benchmark.planning.expand import expand
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.spec.yaml import SPEC_DIR
from benchmark.trial.build import build_model
from benchmark.trial.train_step import Trainer
from tests.conftest import Cli, tiny_grid

SOURCE = '''
from dataclasses import dataclass
from benchmark.methods import Method, ParamGroup, register

@register("{name}", label="Mine", source="test")
@dataclass(frozen=True, kw_only=True)
class Mine(Method):
    """Trains the biases."""
    norms: bool = True

    def adapt(self, model):
        return [name for name, _ in model.named_parameters() if name.endswith("bias")]
'''
HOOKS = """
    def skip(self, request):
        return "not with GTZAN" if request.dataset.name == "gtzan" else None

    def param_groups(self, names):
        return [ParamGroup(tuple(name for name in names if "norm" in name), lr_scale=10, weight_decay=0)]

    def recipe_overrides(self, dataset):
        return {"batch_size": 4}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE.format(name="mine_test"))
    return path


def test_a_file_is_a_method_and_its_content_is_part_of_the_id(
    mine: Path, make_request: Callable[..., TrialRequest]
) -> None:
    first = make_request(methods=[str(mine)])
    assert first.method.variant == "mine_test"
    assert first.method.parts[0].source is not None
    assert make_request(methods=[f"{mine}:Mine"]).id == first.id
    assert externals([first.method])["mine_test"].place == f"{mine}:Mine"
    assert "source" not in make_request().model_dump(mode="json")["method"]["parts"][0]
    mine.write_text(mine.read_text() + "\n# changed\n")
    assert make_request(methods=[str(mine)]).id != first.id
    with pytest.raises(BenchmarkError, match="but this trial was planned with"):
        build_method(first.method)


def test_hooks_choose_rates_recipe_and_trials(tmp_path: Path, data_root: Path) -> None:
    path = tmp_path / "hooked.py"
    path.write_text(SOURCE.format(name="hooked_test") + HOOKS)
    grid = tiny_grid(methods=[str(path)], overrides=[], datasets=["esc50", "gtzan"], recipe={})
    found = expand(grid, data_root, Path("none"))
    [request] = found.requests
    assert (request.dataset.name, request.recipe.batch_size) == ("esc50", 4)
    assert found.skipped == [line for line in found.skipped if line.endswith("not with GTZAN")] != []
    built = build_model(request, 3)
    groups = Trainer(built.model, request, torch_cpu(), built.groups).optimizer.param_groups
    assert [(group["lr_scale"], group["weight_decay"]) for group in groups] == [
        (1.0, request.recipe.weight_decay),
        (10, 0),
    ]


def torch_cpu() -> object:
    import torch

    return torch.device("cpu")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import no_such_module", "does not import: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def broken(:", "mine.py does not import: SyntaxError: invalid syntax, line 1"),
        ("x = 1", "has no such method (a class derived from Method)"),
        (SOURCE.format(name="linear"), "method 'linear' is registered twice: baselines.linear.Linear and"),
        (SOURCE.format(name="two_a") + SOURCE.format(name="two_b").replace("Mine(", "Other("), "has Mine, Other"),
        (SOURCE.format(name="bare").replace("@register", "# @register"), 'put @register("NAME"'),
        ("raise SystemExit(3)", "does not import: SystemExit: 3"),
    ],
)
def test_an_error_in_a_file_is_reported_in_one_line(source: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(BenchmarkError) as caught:
        resolve_methods(str(path), "--method")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_runs_beside_the_baselines(cli: Cli, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(SOURCE.format(name="mine_beside"))
    command = [
        "run",
        "--no-report",
        "--grid",
        "smoke",
        "--dataset",
        "esc50",
        "--backbone",
        "ast",
        "--results",
        tmp_path / "out",
    ]
    done = cli(*command, "--method", "linear", "--method", f"{mine}[norms=true,false]")
    assert done.returncode == 0, done.stdout + done.stderr
    records = {record.request.method.variant: record for record in ResultStore(tmp_path / "out").records()}
    assert set(records) == {"linear", "mine_beside", "mine_beside[norms=false]"}
    assert set(records["mine_beside"].plugins) == {"mine_beside"}
    assert records["linear"].plugins == {}
    status = json.loads(cli("status", "--results", tmp_path / "out", "--json").stdout)
    assert {trial["state"] for trial in status["trials"]} == {"done"}


ENTRY_POINTS = """
[aat_benchmark.methods]
packaged = aat_test_plugin:Mine
absent = aat_test_plugin:NoSuchThing
clash = aat_test_plugin.clash:Mine
[aat_benchmark.backbones]
ast-mine = aat_test_plugin:BACKBONE
ast = aat_test_plugin:BACKBONE
packed = aat_test_plugin.backbone:Packed
wrong = aat_test_plugin.backbone:Packed
[aat_benchmark.datasets]
mine = aat_test_plugin.data:DATASET
broken = aat_test_plugin:BACKBONE
"""
INFO = "aat_test_plugin-1.2.3.dist-info"
BACKBONE_CLASS = """
from benchmark.models.registry import AudioTransformer, register_backbone

@register_backbone(
    "packed", label="Packed", source="test", pretraining="supervised", grid=(8, 10), pooling="patches",
    architecture={"class_tokens": 0},
)
class Packed(AudioTransformer):
    pass
"""
DATASET = """
from dataclasses import replace
from benchmark.data.datasets.esc50 import Esc50
class Mine(Esc50):
    info = replace(Esc50.info, name="mine", label="Mine", folders=("mine",))
DATASET = Mine()
"""


COMMAND_LINE = "from benchmark.cli.main import main; main()"
IN_ONE_PROCESS = """
from unittest import mock
from benchmark.cli.main import main
from tests.conftest import run_trials_here
with mock.patch("benchmark.orchestrator.run.run_trials", run_trials_here):
    main()
"""


@pytest.mark.slow
def test_an_installed_packages_methods_are_there_and_broken_ones_left_out(tmp_path: Path) -> None:
    """Uses a real wheel that pip installs into a separate folder."""
    backbone = "from pathlib import Path\nBACKBONE = Path(__file__).with_name('ast-mine.yaml')\n"
    contents = {
        "aat_test_plugin/__init__.py": backbone + SOURCE.format(name="packaged"),
        "aat_test_plugin/ast-mine.yaml": (SPEC_DIR / "backbones" / "ast.yaml").read_text(),
        "aat_test_plugin/clash.py": SOURCE.format(name="linear"),
        "aat_test_plugin/data.py": DATASET,
        "aat_test_plugin/backbone.py": BACKBONE_CLASS,
        f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: aat-test-plugin\nVersion: 1.2.3\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{INFO}/entry_points.txt": ENTRY_POINTS,
        f"{INFO}/RECORD": "",
    }
    wheel, site = tmp_path / "aat_test_plugin-1.2.3-py3-none-any.whl", tmp_path / "site"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", site, wheel]
    subprocess.run(pip, check=True, capture_output=True, timeout=200)
    path = os.pathsep.join([str(site), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "NO_COLOR": "1"}

    def call(*args: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", IN_ONE_PROCESS if args[0] == "run" else COMMAND_LINE, *map(str, args)]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300)

    listed = call("list", "methods")
    assert listed.returncode == 0, listed.stderr
    assert "packaged" in listed.stdout
    assert "entry point 'absent' of aat-test-plugin is left out: AttributeError" in listed.stderr
    assert "entry point 'clash' of aat-test-plugin is left out" in listed.stderr
    assert "registered twice" in listed.stderr
    for kind, broken in (("backbones", "entry point 'ast' of"), ("datasets", "entry point 'broken' of")):
        more = call("list", kind)
        assert "mine" in more.stdout
        assert broken in more.stderr
        if kind == "backbones":
            assert "packed" in more.stdout
            assert "entry point 'wrong' of aat-test-plugin is left out: ValueError" in more.stderr
    done = call(
        "run", "--grid", "smoke", "--backbone", "packed[size=demo;weights=random:0]", "--method", "packaged",
        "--no-report", "--results", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    [record] = ResultStore(tmp_path / "out").records()
    assert record.plugins["packaged"].distribution == "aat-test-plugin"
    assert record.plugins["packaged"].version == record.plugins["backbone packed"].version == "1.2.3"
    assert record.request.backbone.outside is not None
