"""Methods as classes and objects, and where worker processes import them from."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from baselines.aat_ms import AATMS
from benchmark.api.method_names import method_names
from benchmark.errors import BenchmarkError
from benchmark.methods.registry import externals, resolve_methods

SOURCE = '''
from dataclasses import dataclass
from benchmark.methods import Method, register

@register("{name}", label="Mine", source="test")
@dataclass(frozen=True, kw_only=True)
class Mine(Method):
    """Trains the biases."""
    norms: bool = True

    def adapt(self, model):
        return [name for name, _ in model.named_parameters() if name.endswith("bias")]
'''


def load(path: Path, module: str) -> ModuleType:
    """Import a file as a module of that name, as a script beside it would."""
    spec = importlib.util.spec_from_file_location(module, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def test_text_classes_and_objects_are_the_same_methods() -> None:
    assert method_names("linear") == ["linear"]
    assert method_names(["linear", AATMS]) == ["linear", "aat_ms"]
    assert method_names(AATMS(bottleneck=64)) == ["aat_ms[bottleneck=64]"]
    assert method_names(()) == []


def test_a_class_of_a_file_travels_as_file_and_class(tmp_path: Path) -> None:
    path = tmp_path / "mine_api.py"
    path.write_text(SOURCE.format(name="mine_api_test"))
    mine = load(path, "mine_api").Mine
    assert method_names([mine, mine(norms=False)]) == [f"{path}:Mine", f"{path}:Mine[norms=false]"]
    [method] = resolve_methods(f"{path}:Mine", "test")
    assert externals([method.choice()])["mine_api_test"].place == f"{path}:Mine"


def test_a_class_that_workers_cannot_load_is_refused() -> None:
    here = type("Here", (AATMS,), {"__module__": "__main__", "name": "here", "external": None})
    with pytest.raises(BenchmarkError, match=r"notebook cell.*put it into a file of its own"):
        method_names(here)


def test_what_is_no_method_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="expected text, a class derived from Method"):
        method_names([3])  # type: ignore[list-item]
    with pytest.raises(BenchmarkError, match=r"Bare is not a registered method: put @register\("):
        method_names(type("Bare", (AATMS,), {}))
