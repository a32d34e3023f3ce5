"""`list` and `show`: entries of the suite, and methods and backbones of the user's files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchmark.api.catalogue import catalogue_entries
from benchmark.errors import BenchmarkError
from benchmark.methods.registry import REGISTRY
from benchmark.spec.backbone import forget_backbone
from benchmark.spec.yaml import SPEC_DIR
from tests.conftest import Cli

OWN_METHOD = '''
from dataclasses import dataclass
from typing import Annotated, Literal
from pydantic import Field
from benchmark.methods import Method, register

@register("shown", label="Shown", source="test")
@dataclass(frozen=True, kw_only=True)
class Shown(Method):
    """Trains the MLP's: biases.

    Or more.
    """
    rank: Annotated[int, Field(ge=1, le=8)] = 4
    kind: Literal["a", "b"] = "a"
    depth: int | None = None

    def adapt(self, model):
        return []
'''


def test_a_method_of_a_file_is_shown_in_words(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shown.py").write_text(OWN_METHOD)
    done = cli("show", "method", tmp_path / "shown.py")
    assert done.returncode == 0, done.stderr
    shown = yaml.safe_load(done.stdout)["shown"]
    kinds = {name: entry["type"] for name, entry in shown["hyper-parameters"].items()}
    assert kinds == {
        "rank": "whole number, at least 1, at most 8", "kind": "a or b", "depth": "whole number, or null",
    }  # fmt: skip
    assert "trains_percent" not in shown
    assert "MLP's: biases.\n\n    Or more." in done.stdout
    REGISTRY.forget("shown")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchmarkError, match=r"unknown method 'shown' \(.*: ./shown.py\)"):
        catalogue_entries("methods", "shown")


def test_a_backbone_of_a_file_is_shown(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text((SPEC_DIR / "backbones" / "ast.yaml").read_text())
    assert yaml.safe_load(cli("show", "backbone", tmp_path / "own.yaml").stdout)["own"]["label"] == "AST"
    forget_backbone("own")
    assert "did you mean 'ssast'" in cli("show", "backbone", "ssasst").stderr
    assert "show method ./FILE.py" in cli("list", "methods").stdout
