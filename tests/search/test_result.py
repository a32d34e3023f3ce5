"""What `benchmark.search` returns."""

from __future__ import annotations

import errno
import shlex
from pathlib import Path

import pytest

pytest.importorskip("optuna")
from benchmark.api.search_result import make_result
from benchmark.report.figures import style
from benchmark.search.history import COLUMNS, Configuration
from benchmark.search.space import Space

WORDS = ["python", "-m", "benchmark", "run"]
SETTINGS = ["recipe.lr=1", "recipe.frames=64"]


def test_the_result_is_data_and_text(space: Space, tmp_path: Path) -> None:
    rows = [
        Configuration(0, "finished", "linear", "linear", 0.001, 0.5, 2, 100, 1000, 1.0),
        Configuration(1, "pruned", "aat_m+prompt", "aat_m[bottleneck=16]+prompt", 0.01, 0.75, 1, 200, 2000, 1.0),
        Configuration(2, "finished", "linear", "linear", 0.002, 0.25, 2, 100, 1000, 1.0),
        Configuration(3, "infeasible", "linear", "linear", 0.0, error="too large"),
    ]
    result = make_result(space, rows, tmp_path, 3, interrupted=True, words=WORDS, settings=SETTINGS)
    assert set(COLUMNS) <= set(result.configurations.columns)
    assert list(result.configurations["state"]) == ["finished", "pruned", "finished", "infeasible"]
    assert list(result.pareto_front["number"]) == [1, 0]
    assert (result.best_method, result.best_lr, result.interrupted) == ("linear", 0.001, True)
    expected = [*WORDS, "--method", "linear", "--set", "recipe.lr=0.001", "--set", "recipe.frames=64"]
    assert shlex.split(result.command or "") == expected
    text = str(result)
    assert text.splitlines()[-1] == result.command
    assert "interrupted: 3 of 3 configurations" in text
    assert "Pareto front:" in text
    assert (tmp_path / "pareto-search.png").is_file()


def test_without_a_trained_configuration_there_is_no_command(space: Space, tmp_path: Path) -> None:
    rows = [Configuration(0, "failed", "linear", "linear", 0.001, error="its process died")]
    result = make_result(space, rows, tmp_path, 1, interrupted=False, words=WORDS, settings=[])
    assert (result.best_method, result.best_lr, result.command) == (None, None, None)
    assert str(result).startswith("1 of 1 configurations; all of them in ")
    assert result.pareto_front.empty


def test_a_figure_that_cannot_be_written_loses_no_result(
    space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(style, "save", full_disk)
    rows = [Configuration(0, "finished", "linear", "linear", 0.001, 0.5, 2, 100, 1000, 1.0)]
    result = make_result(space, rows, tmp_path, 1, interrupted=False, words=WORDS, settings=[])
    assert result.best_method == "linear"
    assert "figure: not written (OSError: [Errno 28] No space left on device)" in str(result)
