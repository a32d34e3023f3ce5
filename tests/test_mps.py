"""MPS is started for a measurement and stopped after it; one that is running stays."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from benchmark import mps
from benchmark.errors import BenchmarkError

CONTROL = """#!/bin/sh
echo "$@ $(cat)" >> {log}
echo $CUDA_MPS_PIPE_DIRECTORY >> {log}
exit {code}
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> Path:
    """Put a control program into a folder that writes its arguments, input and pipe folder to a file."""
    log, program = folder / "log", folder / mps.CONTROL
    program.write_text(CONTROL.format(log=log, code=code))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv(mps.PIPES, str(folder / "pipes"))
    return log


def start() -> None:
    with mps.service(wanted=True):
        pass


def test_it_runs_in_a_folder_of_its_own_and_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = install(tmp_path, monkeypatch)
    pipes = Path("none")
    with contextlib.suppress(KeyboardInterrupt), mps.service(wanted=True) as variables:
        pipes = Path(variables[mps.PIPES])
        assert pipes.is_dir()
        raise KeyboardInterrupt
    started, first, stopped, second = log.read_text().splitlines()
    assert (started.strip(), stopped.strip()) == ("-d", "quit")
    assert first == second == str(pipes)
    assert not pipes.exists()


def test_what_does_not_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, code=1)
    with pytest.raises(BenchmarkError, match="--mps: nvidia-cuda-mps-control does not start: 1"):
        start()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(BenchmarkError, match="--mps: nvidia-cuda-mps-control is not installed"):
        start()
    with mps.service(wanted=False) as variables:
        assert variables == {}


@pytest.mark.parametrize(("content", "running"), [(None, False), ("x", False), ("999999999", False), ("own", True)])
def test_a_running_one_is_found_and_used(
    content: str | None, running: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(mps.PIPES, str(tmp_path))
    monkeypatch.setattr("psutil.Process.name", lambda _: "nvidia-cuda-mps")
    if content is not None:
        (tmp_path / f"{mps.CONTROL}.pid").write_text(str(os.getpid()) if content == "own" else content)
    assert mps.is_running() == running
    if running:
        with mps.service(wanted=True) as variables:
            assert variables == {}
