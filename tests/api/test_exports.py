"""`import benchmark`: the functions of the API, and subpackages of the same names."""

from __future__ import annotations

import importlib
import inspect
import logging
import subprocess
import sys
from types import ModuleType

import pytest

import benchmark


@pytest.mark.parametrize("name", benchmark.__all__)
def test_every_name_is_a_documented_function(name: str) -> None:
    function = getattr(benchmark, name)
    assert callable(function)
    documentation = inspect.getdoc(function) or ""
    for section in ("Args:", "Raises:", "Example:"):
        assert section in documentation, f"{name}: {section}"
    described = {line.split(":")[0].strip() for line in documentation.splitlines()}
    assert set(inspect.signature(function).parameters) <= described
    assert name in dir(benchmark)


def test_a_subpackage_hides_no_function() -> None:
    for name in ("benchmark.report.write", "benchmark.search.space", "benchmark.search"):
        importlib.import_module(name)
    from benchmark import report

    assert report is benchmark.report
    assert report.__module__ == "benchmark.api.report"
    assert benchmark.search.__module__ == "benchmark.api.search"
    assert isinstance(sys.modules["benchmark.report"], ModuleType)
    assert isinstance(sys.modules["benchmark.search"], ModuleType)
    assert not isinstance(vars(benchmark).get("search"), ModuleType), "the subpackage hides the function"


def test_other_subpackages_are_attributes_as_always() -> None:
    importlib.import_module("benchmark.records.frame")
    assert isinstance(benchmark.records, ModuleType)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        benchmark.nothing  # noqa: B018


def test_importing_is_quick_and_quiet() -> None:
    code = (
        "import sys, logging, benchmark\n"
        "assert not {'torch', 'ray', 'pandas', 'rich', 'typer'} & set(sys.modules)\n"
        "logging.getLogger('benchmark.api').warning('not shown')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_user_sees_log_messages_as_of_any_library(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="benchmark"):
        benchmark.plan("smoke", methods="linear", results="nowhere")
    assert any(record.name.startswith("benchmark.api.") for record in caplog.records)
