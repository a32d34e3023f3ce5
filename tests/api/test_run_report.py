"""A report that fails after training: the run ends as its trials did, and one line says what failed."""

from __future__ import annotations

import errno
from pathlib import Path
from unittest import mock

import pytest
import yaml

from tests.conftest import AST, TINY_RECIPE, Cli

GRID = {
    "description": "for tests",
    "backbones": [AST],
    "datasets": ["esc50"],
    "methods": ["linear"],
    "folds": [1],
    "recipe": {**TINY_RECIPE, "epochs": 1},
}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("latex could not be found\nits log\n"), "RuntimeError: latex could not be found"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    ],
)
def test_a_failing_report_is_one_line_and_changes_nothing_else(
    cli: Cli, tmp_path: Path, data_root: Path, error: Exception, said: str
) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(GRID))
    results = tmp_path / "res #1"
    arguments = ["run", "--grid", tmp_path / "tiny.yaml", "--data-root", data_root, "--results", results]
    with mock.patch("benchmark.report.figures.build_figures", side_effect=error):
        done = cli(*arguments)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    [line] = [line for line in lines if "report was not written" in line]
    assert said in line
    assert f"python -m benchmark report --results '{results}'" in line
    assert lines[-1] == f"1 done; results in {results}"
    assert "Traceback" not in done.stdout + done.stderr
    assert len(list((results / "trials").rglob("*.json"))) == 1
    assert cli("report", "--results", results).returncode == 0
