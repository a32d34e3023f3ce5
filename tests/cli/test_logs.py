"""`-v`, `-vv` and AAT_BENCHMARK_LOG."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from benchmark.cli.logs import VARIABLE, configure_logging
from benchmark.errors import BenchmarkError
from tests.conftest import Cli


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """The suite's logger, put back afterwards."""
    logger = logging.getLogger("benchmark")
    monkeypatch.setattr(logger, "handlers", list(logger.handlers))
    monkeypatch.setattr(logger, "level", logger.level)
    monkeypatch.setattr(logger, "propagate", logger.propagate)
    monkeypatch.delenv(VARIABLE, raising=False)
    yield logger
    logger.manager._clear_cache()


@pytest.mark.parametrize(
    ("verbosity", "variable", "level"),
    [
        (0, None, "WARNING"),
        (1, None, "INFO"),
        (2, None, "DEBUG"),
        (3, None, "DEBUG"),
        (0, "info", "INFO"),
        (0, "DEBUG", "DEBUG"),
        (1, "debug", "INFO"),
    ],
)
def test_the_option_wins_over_the_variable(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, verbosity: int, variable: str | None, level: str
) -> None:
    if variable:
        monkeypatch.setenv(VARIABLE, variable)
    configure_logging(verbosity)
    assert logging.getLevelName(logger.level) == level


def test_messages_go_to_what_is_stderr_at_the_time(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(1)
    logging.getLogger("benchmark.trial.fit").info("resumes after epoch %d", 3)
    logging.getLogger("benchmark.trial.fit").debug("hidden")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(" INFO benchmark.trial.fit: resumes after epoch 3\n")


def test_an_unknown_level_is_an_error(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "inof")
    with pytest.raises(BenchmarkError, match=r"AAT_BENCHMARK_LOG=inof: unknown level \(did you mean 'info'\?\)"):
        configure_logging(0)


def test_the_option_stands_before_the_command(cli: Cli, tmp_path: Path) -> None:
    def messages(*options: str) -> str:
        done = cli(*options, "plan", "--grid", "smoke", "--shard", "1/99", "--results", tmp_path / "out")
        assert (done.returncode, "INFO" in done.stdout) == (0, False)
        return done.stderr

    assert "INFO benchmark.api.selection: " in messages("-v")
    assert "INFO benchmark.api.selection: " in messages("-vv")
    assert "INFO" not in messages()
