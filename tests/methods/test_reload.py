"""Edited files, classes given as objects, and methods of another version."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.methods import Method, huggingface, registry
from benchmark.methods.registry import (
    build_method,
    externals,
    find_method,
    load_externals,
    method_text,
    methods,
    methods_current,
    resolve_methods,
)
from benchmark.methods.resolve import check_source
from benchmark.places import External
from benchmark.spec.request import MethodChoice

SOURCE = '''
from dataclasses import dataclass
from benchmark.methods import Method, register

@register("{name}", label="Mine", source="test")
@dataclass(frozen=True, kw_only=True)
class Mine(Method):
    """Trains the biases."""
    rank: int = {rank}

    def adapt(self, model):
        return []
'''


def choice(text: str) -> MethodChoice:
    [method] = resolve_methods(text, "test")
    return method.choice()


def test_an_edit_of_a_file_is_seen_in_the_same_process(tmp_path: Path) -> None:
    path = tmp_path / "edited.py"
    path.write_text(SOURCE.format(name="edited", rank=1))
    first = choice(str(path))
    assert methods_current(first)
    path.write_text(SOURCE.format(name="edited", rank=2))  # as long as before, within the same second
    assert not methods_current(first)
    second = choice("edited")  # by name too
    assert [part.options["rank"] for chosen in (first, second) for part in chosen.parts] == [1, 2]
    assert first.parts[0].source != second.parts[0].source
    assert build_method(second).parts[0].options() == {"rank": 2}
    with pytest.raises(BenchmarkError, match=r"edited\.py:Mine has digest .* but this trial was planned with"):
        build_method(first)
    path.write_text(SOURCE.format(name="edited", rank=1))
    assert choice(str(path)) == first


def test_a_running_trial_keeps_its_method_when_the_file_is_edited(tmp_path: Path) -> None:
    path = tmp_path / "running.py"
    path.write_text(SOURCE.format(name="running", rank=1))
    planned = choice(str(path))
    path.write_text("half an edit (")
    load_externals({"running": f"{path}:Mine"})
    assert build_method(planned).parts[0].options() == {"rank": 1}
    assert externals([planned])["running"].digest == planned.parts[0].source
    with pytest.raises(BenchmarkError, match="does not import: SyntaxError"):
        choice("running")


def test_a_file_that_fails_leaves_the_methods_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "failing.py"
    path.write_text(SOURCE.format(name="failing", rank=1))
    choice(str(path))
    path.write_text(SOURCE.format(name="failing_new", rank=1) + "1 / 0\n")
    with pytest.raises(BenchmarkError, match="ZeroDivisionError"):
        choice(str(path))
    assert "failing" in methods()
    assert "failing_new" not in methods()


def test_a_name_that_an_edit_removed_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "renamed.py"
    path.write_text(SOURCE.format(name="renamed_old", rank=1))
    choice(str(path))
    path.write_text(SOURCE.format(name="renamed_new", rank=1))
    with pytest.raises(BenchmarkError, match="unknown method 'renamed_old'"):
        find_method("renamed_old")
    assert find_method("renamed_new").external is not None


def test_a_forgotten_method_is_entered_again_when_its_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "forgotten.py"
    path.write_text(SOURCE.format(name="forgotten", rank=1))
    before = choice(str(path))
    registry.REGISTRY.forget("forgotten")
    assert "forgotten" not in methods()
    assert choice(str(path)) == before


def test_a_class_is_named_by_its_name_or_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert method_text("aat_m[bottleneck=8]+prompt") == "aat_m[bottleneck=8]+prompt"
    assert method_text(find_method("aat_m")) == "aat_m"
    path = tmp_path / "named_by_file.py"
    path.write_text(SOURCE.format(name="named_by_file", rank=1))
    loaded = type(resolve_methods(str(path), "test")[0].parts[0])
    assert method_text(loaded) == f"{path}:Mine"
    monkeypatch.syspath_prepend(tmp_path)
    imported = importlib.import_module("named_by_file").Mine  # as in a notebook beside the file
    assert method_text(imported) == f"{path}:Mine"
    assert choice(method_text(imported)) == choice(str(path))
    sys.modules.pop("named_by_file")


def test_a_class_of_a_package_is_named_by_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "aat_test_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "module.py").write_text(SOURCE.format(name="in_package", rank=1))
    monkeypatch.syspath_prepend(tmp_path)
    text = method_text(importlib.import_module("aat_test_package.module").Mine)
    assert text == "aat_test_package.module:Mine"
    assert choice(text).parts[0].name == "in_package"


def test_a_class_that_other_processes_cannot_load_is_refused_in_a_line(tmp_path: Path) -> None:
    cell = {"__name__": "__main__"}
    exec(SOURCE.format(name="in_a_cell", rank=1), cell)
    for use in (lambda: method_text(cell["Mine"]), lambda: choice("in_a_cell")):  # type: ignore[arg-type, return-value]
        with pytest.raises(BenchmarkError, match="put it into a file of its own") as caught:
            use()
        assert "\n" not in str(caught.value)
    assert "in_a_cell" not in methods()

    class Bare(Method):
        def adapt(self, model: object) -> list[str]:
            return []

    with pytest.raises(BenchmarkError, match=r"Bare is not a registered method: put @register\("):
        method_text(Bare)
    path = tmp_path / "with+plus.py"
    path.write_text(SOURCE.format(name="with_plus", rank=1))
    with pytest.raises(BenchmarkError, match=r"with\+plus.*'\+' has a meaning in method names"):
        method_text(registry.REGISTRY.load(str(path)))


@pytest.mark.parametrize(
    ("external", "planned", "message"),
    [
        (
            External("peft/lora", None, "peft", "0.21.0"),
            "peft 0.20.0",
            "method 'x': this trial was planned with peft 0.20.0, but peft 0.21.0 is installed; install peft 0.20.0 or",
        ),
        (External("/a/x.py:X", "aaa"), "bbb", "/a/x.py:X has digest aaa, but this trial was planned with bbb; restore"),
        (None, "bbb", "planned with a method from outside (bbb), but now the suite has it"),
        (External("/a/x.py:X", "aaa"), None, "planned with the suite's method, but now /a/x.py:X defines it"),
    ],
)
def test_another_version_of_a_method_is_refused_in_a_line(
    external: External | None, planned: str | None, message: str
) -> None:
    with pytest.raises(BenchmarkError) as caught:
        check_source("x", external, planned)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    check_source("x", external, external and external.identity)


@pytest.mark.skipif(not huggingface.installed(), reason="peft is not installed")
@pytest.mark.filterwarnings("ignore")
def test_a_trial_of_another_peft_is_refused() -> None:
    planned = choice("peft/lora")
    [part] = planned.parts
    assert (part.source or "").startswith("peft ")
    assert method_text(find_method("peft/lora")) == "peft/lora"
    older = planned.model_copy(update={"parts": (part.model_copy(update={"source": "peft 0.1.0"}),)})
    with pytest.raises(BenchmarkError, match=rf"planned with peft 0\.1\.0, but {part.source} is installed"):
        build_method(older)
    assert methods_current(planned)
    assert not methods_current(older)
