"""A report that fails or is stopped after training: the records are kept, and one line says what happened."""

from __future__ import annotations

import errno
from pathlib import Path
from unittest import mock

import pytest
import yaml

from benchmark.report import write
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
    ("error", "said", "code", "start"),
    [
        (RuntimeError("latex could not be found\nits log\n"), "RuntimeError: latex could not be found", 0, ""),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device", 0, ""),
        (KeyboardInterrupt(), "not written (interrupted); ", 130, "interrupted: "),
    ],
)
def test_a_report_that_fails_or_is_stopped_is_one_line(
    cli: Cli, tmp_path: Path, data_root: Path, error: BaseException, said: str, code: int, start: str
) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(GRID))
    results = tmp_path / "res #1"
    arguments = ["run", "--grid", tmp_path / "tiny.yaml", "--data-root", data_root, "--results", results]
    with mock.patch.object(write, "build_tables", side_effect=error):
        done = cli(*arguments)
    assert done.returncode == code, done.stderr
    lines = done.stdout.splitlines()
    [line] = [line for line in lines if "the records are kept" in line]
    assert line.startswith(f"{results / 'report'}: not written (")
    assert said in line
    assert f"python -m benchmark report --results '{results}'" in line
    assert lines[-1] == f"{start}1 done; results in {results}"
    assert "Traceback" not in done.stdout + done.stderr
    assert len(list((results / "trials").rglob("*.json"))) == 1
    assert cli("report", "--results", results).returncode == 0
