"""Methods that break the contract are reported once; the others still work."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

HEAD = """
from collections.abc import Iterable
from dataclasses import dataclass, field
from benchmark.methods import Method, register
"""
BODY = "    def adapt(self, model) -> Iterable[str]:\n        return []\n"
FROZEN = "@dataclass(frozen=True, kw_only=True)\n"


def listed(tmp_path: Path, text: str) -> tuple[dict, str]:
    """What `list methods` prints with one more file in `baselines/`."""
    folder = tmp_path / "baselines"
    shutil.copytree(REPOSITORY / "baselines", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "mine.py").write_text(HEAD + text)
    command = [sys.executable, "-m", "benchmark", "list", "methods", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_good_file_is_found(tmp_path: Path) -> None:
    text = f'@register("mine", label="Mine", source="me")\n{FROZEN}class Mine(Method):\n    rank: int = 4\n{BODY}'
    found, messages = listed(tmp_path, text)
    assert found["mine"]["hyper-parameters"]["rank"]["default"] == 4
    assert messages == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('boom')\n", "RuntimeError: boom"),
        ("import sys\nsys.exit(5)\n", "SystemExit: 5"),
        ("def broken(:\n", "SyntaxError"),
        (f'@register("mine", label="", source="")\nclass Mine(Method):\n{BODY}', "put @dataclass(frozen=True"),
        (f'@register("mine", label="", source="")\n{FROZEN}class Mine:\n{BODY}', "derived from Method"),
        (f'@register("Mine", label="", source="")\n{FROZEN}class Mine(Method):\n{BODY}', "lower-case letters"),
        (f'@register("mine", label="", source="")\n{FROZEN}class Mine(Method):\n    pass\n', "abstract"),
        (f'@register("mine", label="", source="")\n{FROZEN}class Mine(Method):\n    rank: int\n{BODY}', "a default"),
        (
            f'@register("mine", label="", source="")\n{FROZEN}class Mine(Method):\n    tuning = "lora"\n{BODY}',
            "tuning is",
        ),
        (f'@register("linear", label="", source="")\n{FROZEN}class Mine(Method):\n{BODY}', "registered twice"),
        (
            "".join(
                f'@register("mine", label="", source="")\n{FROZEN}class {name}(Method):\n{BODY}\n'
                for name in ("Mine", "Other")
            ),
            "registered twice",
        ),
        (f'@register("mine", label="", source="")\n{FROZEN}class Mine(Method):\n{BODY}\n1 / 0\n', "ZeroDivisionError"),
    ],
)
def test_a_bad_file_is_one_line_and_left_out(tmp_path: Path, text: str, message: str) -> None:
    found, messages = listed(tmp_path, text)
    suite = {path.stem for path in (REPOSITORY / "baselines").glob("[a-z]*.py")}
    assert {name for name in found if not name.startswith("peft/")} == suite
    [line] = messages.splitlines()
    assert line.startswith("warning: baselines/mine.py is left out: ")
    assert message in line
