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
    assert method_names([mine, mine(norms=False)]) == ["mine_api_test", "mine_api_test[norms=false]"]
    [method] = resolve_methods("mine_api_test", "test")
    assert externals([method.choice()])["mine_api_test"].place == f"{path}:Mine"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (None, "is defined in a notebook"),
        ("import benchmark\n", "which runs again when it is imported"),
    ],
)
def test_a_class_that_workers_cannot_import_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, message: str
) -> None:
    main = ModuleType("__main__")
    if script is not None:
        (tmp_path / "script.py").write_text(script)
        main.__file__ = str(tmp_path / "script.py")
    monkeypatch.setitem(sys.modules, "__main__", main)
    here = type("Here", (AATMS,), {"__module__": "__main__", "name": "here"})
    with pytest.raises(BenchmarkError, match=message) as raised:
        method_names(here)
    assert "here.py" in str(raised.value)


def test_a_script_with_a_guard_can_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    script = tmp_path / "guarded.py"
    script.write_text('if __name__ == "__main__":\n    print("work")\n')
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr("inspect.getfile", lambda _: str(script))
    here = type("Here", (AATMS,), {"__module__": "__main__", "name": "here", "__qualname__": "Here"})
    assert method_names(here) == ["here"]
    assert here.external.place == f"{script}:Here"


def test_what_is_no_method_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="expected text, a class derived from Method"):
        method_names([3])  # type: ignore[list-item]
    with pytest.raises(BenchmarkError, match=r"put @register\(.*above class Bare"):
        method_names(type("Bare", (AATMS,), {}))
