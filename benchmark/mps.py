"""NVIDIA's Multi-Process Service (MPS): with it, processes compute on one GPU at the same time, else in turns."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmark.errors import BenchmarkError

CONTROL = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
DEFAULT_PIPES = "/tmp/nvidia-mps"
QUIT_SECONDS = 20.0

logger = logging.getLogger(__name__)


def is_installed() -> bool:
    """Return whether MPS can be started here; it comes with NVIDIA's driver."""
    return shutil.which(CONTROL) is not None


def is_running() -> bool:
    """Return whether processes that start CUDA here and now share their GPU by MPS."""
    path = Path(os.environ.get(PIPES, DEFAULT_PIPES)) / f"{CONTROL}.pid"
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        return psutil.Process(int(path.read_text())).name().startswith(CONTROL[:15])  # Linux keeps 15 letters
    return False


@contextmanager
def service(*, wanted: bool) -> Iterator[Mapping[str, str]]:
    """Yield environment variables for processes that share a GPU by MPS, which runs inside the context.

    An MPS that is running already is used, and left running.

    Args:
        wanted: False starts nothing.

    Raises:
        BenchmarkError: MPS is not installed or does not start.
    """
    if not wanted or is_running():
        yield {}
        return
    if not is_installed():
        raise BenchmarkError(f"--mps: {CONTROL} is not installed; it comes with NVIDIA's driver")
    with tempfile.TemporaryDirectory(prefix="mps-", dir="/tmp", ignore_cleanup_errors=True) as folder:  # short paths
        variables = {PIPES: folder, LOGS: folder}
        environment = {**os.environ, **variables}
        started = subprocess.run([CONTROL, "-d"], env=environment, capture_output=True, text=True, check=False)
        if started.returncode:
            said = (started.stderr or started.stdout).strip().splitlines()
            raise BenchmarkError(f"--mps: {CONTROL} does not start: {said[0] if said else started.returncode}")
        logger.info("MPS is running, its files are in %s", folder)
        try:
            yield variables
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):  # a server that does not end
                subprocess.run(
                    [CONTROL], env=environment, input="quit\n", text=True, capture_output=True, check=False,
                    timeout=QUIT_SECONDS,
                )  # fmt: skip
