"""What the README says works as it stands there."""

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
from benchmark.models.transformer import AudioTransformer, ModelConfig
from benchmark.spec.backbone import SHAPES, Shape, forget_backbone
from benchmark.testing import run_check
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text()


def test_the_method_of_the_readme_runs_verbatim(tmp_path: Path) -> None:
    _, code, tests, *_ = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
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


def test_the_backbone_of_the_readme_passes_its_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "tiny", Shape(width=128, depth=2, heads=2))
    *_, code, tests = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(code.strip().splitlines()) <= 30
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    exec(tests, namespace)
    passed = namespace["TestGated"]()
    for check in ("builds", "order", "slots", "sites", "parameters", "agrees", "state_dict"):
        getattr(passed, f"test_{check}")()
    forget_backbone("gated")


def test_the_python_of_the_readme_fits_the_api() -> None:
    """Every call has the arguments that the function takes, and every function that is named exists."""
    code, *_ = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    ours = [call for call in calls if isinstance(call.func, ast.Attribute)]
    assert [call.func.attr for call in ours] == ["run", "load_results"]  # type: ignore[attr-defined]
    for call in ours:
        function = getattr(benchmark, call.func.attr)  # type: ignore[attr-defined]
        named = {keyword.arg: None for keyword in call.keywords}
        inspect.signature(function).bind(*call.args, **named)  # type: ignore[arg-type]
    [section] = re.findall(r"### From Python\n(.*?)\n## ", README, flags=re.DOTALL)
    assert set(re.findall(r"`(\w+)`", section)) - {"Grid"} == set(benchmark.__all__)


def test_the_commands_of_the_readme_exist() -> None:
    from typer.main import get_command

    from benchmark.cli.main import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    used = set(re.findall(r"python -m benchmark (\w+)", README))
    assert used
    assert used <= known


def test_every_option_of_the_readme_exists() -> None:
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
    # options of Ray's own command and of scripts
    ours = re.sub(r"^.*ray start .*$|`python tests/.*?`", "", README, flags=re.MULTILINE)
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    assert used <= known, used - known
