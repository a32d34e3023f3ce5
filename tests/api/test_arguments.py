"""A mistake in the type of an argument is one line that names the argument."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import benchmark
from benchmark.cli.options import name_of
from benchmark.errors import BenchmarkError
from tests.conftest import Cli

QUIET = Console(quiet=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder without records, beside a file, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out" / "trials").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda api: api.check([], console=QUIET), "methods: expected at least one method"),
        (lambda api: api.check("", console=QUIET), "methods: expected the name of a method"),
        (lambda api: api.merge([], "new"), "folders: expected at least one results folder"),
        (lambda api: api.merge(5, "new"), "folders: expected a path or a list of paths, got 5"),
        (lambda api: api.merge("out", "file"), "file: is a file; name a folder"),
        (lambda api: api.plan("smoke", methods=""), "methods: expected the name of a method"),
        (lambda api: api.plan("smoke", datasets=5), "datasets: expected text or a list of texts, got 5"),
        (lambda api: api.plan("smoke", folds=1.5), "folds: expected a whole number or a list of them, got 1.5"),
        (lambda api: api.plan("smoke", settings=5), "settings: expected a mapping or a list of KEY=VALUE, got 5"),
        (lambda api: api.plan("smoke", folds="a"), "folds: expected whole numbers, got 'a'"),
        (lambda api: api.plan("smoke", settings=["x"]), "settings x: expected recipe.KEY=VALUE"),
        (lambda api: api.plan("smoke", shard="a"), "shard a: expected I/N"),
        (lambda api: api.plan("smoke", shard=3), "shard: expected text, got 3"),
        (lambda api: api.plan("smoke", limit_clips=True), "limit_clips: expected a whole number, got True"),
        (lambda api: api.plan("smoke", data_root=5), "data_root: expected a path, got 5"),
        (lambda api: api.plan("smoke", cpus_per_trial="a"), "cpus_per_trial: expected a whole number, got 'a'"),
        (lambda api: api.plan("smoke", results="file"), "file: is a file; name a folder"),
        (lambda api: api.profile("smoke", steps="a"), "steps: expected a whole number, got 'a'"),
        (lambda api: api.run("smoke", budget=[]), "budget: expected text or a number"),
        (lambda api: api.search("esc50", "ast", "a"), "budget: expected a whole number, got 'a'"),
        (lambda api: api.search("esc50", "ast", 1, results="file"), "file: is a file; name a folder"),
        (lambda api: api.status(""), "results: expected a path, got empty text"),
        (lambda api: api.status(5), "results: expected a path, got 5"),
        (lambda api: api.report("out", "file"), "file: is a file; name a folder"),
        (lambda api: api.load_export("none"), "none/adapter.safetensors: no such file"),
        (lambda api: api.list_datasets(5), "data_root: expected a path, got 5"),
        (lambda api: api.prepare_data(5), "name: expected text, got 5"),
        (lambda api: api.fetch_checkpoints(5), "backbones: expected a list of texts, got 5"),
        (lambda api: api.new_method(5), "name: expected text, got 5"),
        (lambda api: api.explain("out", 5), "names: expected text or a list of texts, got 5"),
    ],
)
def test_a_wrong_type_names_the_argument(folder: Path, call: Callable[[Any], object], message: str) -> None:
    with pytest.raises(BenchmarkError) as caught:
        call(benchmark)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fold", "a"], "error: --fold: expected whole numbers, got 'a'\n"),
        (["--set", "x"], "error: --set x: expected recipe.KEY=VALUE or protocol.SWITCH=VALUE\n"),
        (["--shard", "a"], "error: --shard a: expected I/N with I from 1 to N, such as 2/8\n"),
    ],
)
def test_the_command_line_names_the_option(cli: Cli, words: list[str], message: str) -> None:
    done = cli("plan", "--grid", "smoke", *words)
    assert (done.returncode, done.stderr) == (2, message)


def test_names_of_options() -> None:
    assert [name_of(name) for name in ("settings", "gpus_per_trial")] == ["--set", "--gpus-per-trial"]
