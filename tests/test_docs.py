"""What the README and the documentation say works as it stands there."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import benchmark
from benchmark.methods.registry import resolve_methods
from benchmark.models.attach import SITES
from benchmark.models.transformer import AudioTransformer, ModelConfig
from benchmark.spec.backbone import SHAPES, Shape, forget_backbone
from benchmark.testing import run_backbone_check, run_check
from benchmark.testing.backbones import CheckedBackbone
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
TEXTS = {path.name: path.read_text() for path in sorted((REPOSITORY / "docs").rglob("*.md"))} | {"README.md": README}
PAGES = [path.relative_to(REPOSITORY / "docs") for path in sorted((REPOSITORY / "docs").rglob("*.md"))]
LONGEST_LINE = 120
PYTHON = [block for text in TEXTS.values() for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)]
SHELL = [block for text in TEXTS.values() for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)]


def python_with(text: str) -> str:
    """Return the Python that contains a text; where it stands several times, it is the same."""
    [found] = {block for block in PYTHON if text in block}
    return found


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 180


def test_the_method_of_the_readme_runs_verbatim(tmp_path: Path) -> None:
    code, tests = python_with("class Mine("), python_with("class TestMine(")
    assert code in README
    assert len(code.strip().splitlines()) <= 15
    (tmp_path / "mine.py").write_text(code)
    method, bare = resolve_methods(f"{tmp_path / 'mine.py'}[norms=true,false]", "README")
    model = AudioTransformer(ModelConfig(SHAPES["demo"], 128, 128, (16, 16), 3))
    names = [each.adapt(model) for each in (method, bare)]
    assert [len(each) for each in names] == [28, 19]  # 4 x 6 + 4, and without the 9 of LayerNorms
    assert all(name.endswith("bias") for each in names for name in each)
    assert {check: fault for check in ("frozen", "gradients") if (fault := run_check(check, method))} == {}
    (tmp_path / "test_mine.py").write_text(tests.replace('"mine"', repr(str(tmp_path / "mine.py"))))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "configuration", tmp_path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_method_with_groups_of_the_documentation_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "tiny", Shape(width=128, depth=2, heads=2))
    (tmp_path / "side.py").write_text(python_with("class GatedSide("))
    [method] = resolve_methods(str(tmp_path / "side.py"), "documentation")
    faults = {check: run_check(check, method) for check in ("registered", "gradients", "save_load")}
    assert faults == dict.fromkeys(faults)
    method.adapt(AudioTransformer(ModelConfig(SHAPES["tiny"], 128, 128, (16, 16), 3)))
    assert [len(group.names) for group in method.param_groups()] == [2]
    sites = set(re.findall(r"^\| `(\w+_(?:parallel|out))` \|", TEXTS["own-method.md"], flags=re.MULTILINE))
    assert sites == set(SITES)


def test_the_backbone_with_own_names_passes_its_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "tiny", Shape(width=128, depth=2, heads=2))
    place = tmp_path / "ownvit.py"
    place.write_text(python_with("class OwnViT("))
    checked = CheckedBackbone.named(str(place))
    faults = {
        check: run_backbone_check(check, checked) for check in ("builds", "order", "slots", "sites", "state_dict")
    }
    assert faults == dict.fromkeys(faults)
    for name in ("prefix", "lora", "layernorm"):
        [method] = resolve_methods(name, "documentation")
        assert run_check("gradients", method, ["ownvit[size=tiny;weights=random:0]"]) is None
    forget_backbone("ownvit")


def test_the_backbone_of_the_documentation_passes_its_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "tiny", Shape(width=128, depth=2, heads=2))
    code, tests = python_with("class GatedAST("), python_with("class TestGated(")
    assert len(code.strip().splitlines()) <= 30
    (tmp_path / "gated.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    exec(tests, namespace)
    passed = namespace["TestGated"]()
    for check in ("builds", "order", "slots", "sites", "parameters", "agrees", "state_dict"):
        getattr(passed, f"test_{check}")()
    forget_backbone("gated")


def test_every_call_of_the_api_has_arguments_that_it_takes() -> None:
    """And every function that is named exists."""
    called = set()
    for block in PYTHON:
        for call in (node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)):
            function = call.func
            if isinstance(function, ast.Attribute) and ast.unparse(function.value) == "benchmark":
                named = {keyword.arg: None for keyword in call.keywords}
                inspect.signature(getattr(benchmark, function.attr)).bind(*call.args, **named)  # type: ignore[arg-type]
                called.add(function.attr)
    assert {"run", "load_results"} <= called
    section = TEXTS["python.md"]
    assert set(re.findall(r"`(\w+)`", section)) - {"Grid", "data", "checkpoint"} == set(benchmark.__all__)


def test_commands_exist() -> None:
    from typer.main import get_command

    from benchmark.cli.main import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    used = {name for text in TEXTS.values() for name in re.findall(r"python -m benchmark (\w+)", text)}
    assert used
    assert used <= known


def test_options_exist() -> None:
    """Those of our commands in code, and those that a text names alone, such as `--set`."""
    from typer.main import get_command

    from benchmark.cli.main import app

    commands = list(get_command(app).commands.values())  # type: ignore[attr-defined]
    commands += [below for command in commands for below in getattr(command, "commands", {}).values()]
    known = {
        option
        for command in commands
        for parameter in command.params
        for option in [*parameter.opts, *parameter.secondary_opts]
    }
    lines = [line for block in SHELL for line in block.splitlines() if "python -m benchmark" in line]
    lines = [line.partition("python -m benchmark")[2].partition("#")[0] for line in lines]
    texts = [text for name, text in TEXTS.items() if name not in {"slurm.md", "containers.md"}]  # of other programs
    alone = [span for text in texts for span in re.findall(r"`(--[^`]*)`", text)]
    used = {option for text in [*lines, *alone] for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)}
    assert used <= known, used - known


def test_prose_has_short_lines() -> None:
    """Tables, code and pictures may be wider."""
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{path}" for path in PAGES)):
        text = re.sub(r"^```.*?^```$", "", (REPOSITORY / name).read_text(), flags=re.DOTALL | re.MULTILINE)
        long = [line for line in text.splitlines() if len(line) > LONGEST_LINE and not line.startswith(("|", "!["))]
        assert long == [], name
