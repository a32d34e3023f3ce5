"""Folders that a run needs only while it lasts."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from pathlib import Path

import psutil

from benchmark.records.store import LEASES, RESUME, SCRATCH

logger = logging.getLogger(__name__)


def scratch_folder(results: Path) -> Path:
    """Return a folder for Tune's own state, which nothing reads. Remove those of dead runs of this machine."""
    parent = results / SCRATCH
    for path in parent.glob("run-*"):
        with contextlib.suppress(ValueError):
            if not psutil.pid_exists(int(path.name.rpartition("-")[2])):
                logger.info("%s: removed, its run is dead", path)
                shutil.rmtree(path, ignore_errors=True)
    return parent / f"run-{os.getpid()}"


def tidy(scratch: Path) -> None:
    """Remove a scratch folder, and the results folder's working folders that are empty.

    Another run may use the same results folder: its files stay.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    for name in (SCRATCH, LEASES, RESUME):
        with contextlib.suppress(OSError):
            (scratch.parent.parent / name).rmdir()
