"""Which trials the arguments of an API call choose."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import benchmark
from benchmark.api.folders import cache_folder, data_root
from benchmark.api.selection import Selection
from benchmark.data.parallel import usable_cores
from benchmark.errors import BenchmarkError, MissingInputsError
from benchmark.planning.machine import machine_here
from benchmark.spec.grid import load_grid
from benchmark.spec.options import RunOptions
from tests.conftest import AST, tiny_grid


def ids(grid: Any = "quick", **arguments: Any) -> list[str]:
    expansion = Selection(grid=grid, data_root="nowhere", datasets="esc50", **arguments).resolve().expand()
    return [request.label for request in expansion.requests]


def test_names_are_text_or_lists_and_numbers_may_be_numbers() -> None:
    assert ids(methods="linear,full", folds=1, seeds="0,1") == ids(methods=["linear", "full"], folds=[1], seeds=[0, 1])
    assert len(ids(methods="linear", backbones=AST, folds=[1, 2], seeds=[0, 1])) == 4


def test_settings_are_a_mapping_or_text() -> None:
    def recipe(settings: Any) -> Any:
        selection = Selection(grid=tiny_grid(), settings=settings, data_root="nowhere")
        return selection.resolve().expand().requests[0].recipe

    values = {"recipe.epochs": 3, "recipe.stride": (16, 16), "recipe.lr": 1e-5, "recipe.loss": "bce"}
    changed = recipe(values)
    assert (changed.epochs, tuple(changed.stride), changed.lr, changed.loss) == (3, (16, 16), 1e-5, "bce")
    text = ["recipe.epochs=3", "recipe.stride=[16,16]", "recipe.lr=1e-5", "recipe.loss=bce"]
    assert recipe(text) == changed
    assert recipe("recipe.epochs=3").epochs == 3


def test_a_grid_is_a_name_a_path_or_an_object(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f'description: test\nbackbones: ["{AST}"]\ndatasets: [esc50]\nmethods: [linear]\nfolds: [1]\n')
    assert len(ids(path)) == len(ids(str(path))) == len(ids(tiny_grid())) == 1
    assert Selection(grid=path).resolve().store.folder == Path("results/runs/mine").absolute()


def test_folders_come_from_the_argument_or_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AAT_BENCHMARK_DATA", "AAT_BENCHMARK_CACHE"):
        monkeypatch.delenv(name, raising=False)
    assert data_root(None) == Path("data")
    assert cache_folder(None, tmp_path) == tmp_path / "audio-cache"
    monkeypatch.setenv("AAT_BENCHMARK_DATA", "there")
    monkeypatch.setenv("AAT_BENCHMARK_CACHE", "none")
    assert data_root(None) == Path("there")
    assert data_root("here") == Path("here")
    assert cache_folder(None, tmp_path) is None
    assert cache_folder("here", tmp_path) == Path("here")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid": "smokey"}, "did you mean 'smoke'"),
        ({"methods": "aat"}, "unknown method 'aat'"),
        ({"settings": {"epochs": 2}}, r"expected recipe.KEY=VALUE"),
        ({"seeds": "one"}, "expected whole numbers"),
        ({"shard": "4/3"}, "expected I/N"),
        ({"rerun": "fialed"}, "did you mean 'failed'"),
        ({"loggers": ["neptune"]}, "loggers: unknown value 'neptune'"),
    ],
)
def test_a_mistake_is_an_error_for_the_caller(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=message):
        benchmark.run(**{"grid": "smoke", "results": tmp_path, **arguments})
    assert not (tmp_path / "trials").exists()


def test_missing_inputs_are_all_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(MissingInputsError) as raised:
        benchmark.run("paper", data_root=tmp_path, checkpoints=tmp_path, results=tmp_path / "out")
    assert len(raised.value.inputs) == 8  # both checkpoints and six datasets
    assert all(line in str(raised.value) for line in raised.value.inputs)


def test_a_plan_prints_nothing_and_reads_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quiet = Console(quiet=True)
    planned = benchmark.plan("smoke", methods=["linear"], results=tmp_path / "out", console=quiet)
    assert capsys.readouterr() == ("", "")
    assert planned.plan.counts() == {"done": 0, "stale": 0, "failed": 0, "missing": 2}
    lines = str(planned).splitlines()
    assert lines[0] == "`run` will generate the audio of ESC-50"
    assert lines[-2] == f"2 trials: 0 done, 0 stale, 0 failed, 2 missing; results in {tmp_path / 'out'}"
    assert planned.as_dict()["cost"]["device"] == planned.machine.device
    benchmark.plan("smoke", methods=["linear"], results=tmp_path / "out")
    assert capsys.readouterr().out == ""  # progress goes to stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpus": -1}, {"cpus": "a"}, {"cpus_per_trial": 0}, {"gpus_per_trial": -1}, {"gpus_per_trial": 2},
        {"gpus_per_trial": 1.5}, {"timeout": float("nan")}, {"timeout": True},
    ],
)  # fmt: skip
def test_options_that_no_run_can_use_are_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    [(name, value)] = wrong.items()
    with pytest.raises(BenchmarkError, match=re.escape(f"{name} = {value!r}: expected a number")):
        RunOptions(tmp_path, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("command", [benchmark.plan, benchmark.run])
def test_a_second_gpu_would_be_idle(command: Callable[..., object], tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="gpus_per_trial = 2: expected a number, from 0 to 1"):
        command("smoke", methods="linear", gpus_per_trial=2, results=tmp_path)


def test_nothing_chosen_means_the_grids_own() -> None:
    chosen = Selection(grid="smoke", datasets=None, backbones=None, folds=None, seeds=None, settings=None).resolve()
    assert chosen.grid == load_grid("smoke")


def test_more_threads_than_cores_are_not_timed() -> None:
    assert machine_here(10**6).threads == usable_cores()
