"""Scratch folders: those of dead runs go, those of running ones stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.orchestrator import scratch
from benchmark.orchestrator.interrupt import Stop
from benchmark.orchestrator.scratch import scratch_folder


def test_two_runs_with_one_process_number_have_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in two containers that share a results folder."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    with scratch_folder(tmp_path) as first, scratch_folder(tmp_path) as second:
        assert first != second
        assert first.is_dir()
        assert second.is_dir()
        assert Stop(tmp_path, Console()).file != Stop(tmp_path, Console()).file
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_dead_run_is_removed(tmp_path: Path) -> None:
    dead = tmp_path / ".tune" / "run-dead"
    dead.mkdir(parents=True)
    (dead / scratch.LOCK).touch()
    with scratch_folder(tmp_path):
        assert not dead.exists()


def test_where_locks_do_not_work_folders_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError("no locks")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with scratch_folder(tmp_path) as first, scratch_folder(tmp_path):
        assert first.is_dir()
