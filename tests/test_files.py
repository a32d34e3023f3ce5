"""Files are written completely or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from benchmark.files import write_atomic


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_file_gets_the_mode_that_the_umask_asks_for(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_atomic(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


def test_the_umask_of_other_threads_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mask is one for all threads of a process: changing it for a moment opens the files of other threads."""
    before, wrong, done = os.umask(0o077), list[int](), threading.Event()

    def create() -> None:
        number = 0
        while not done.is_set():
            path = tmp_path / f"other-{(number := number + 1)}"
            path.touch()
            if mode := stat.S_IMODE(path.stat().st_mode) & 0o077:
                wrong.append(mode)
            path.unlink()

    def no_umask(_: int) -> int:
        raise AssertionError("the umask was changed")

    try:
        monkeypatch.setattr(os, "umask", no_umask)
        other = threading.Thread(target=create)
        other.start()
        writers = [
            threading.Thread(target=lambda: [write_atomic(tmp_path / "same", b"x" * 100) for _ in range(20)])
            for _ in range(4)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        done.set()
        other.join()
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert wrong == []
    assert (tmp_path / "same").read_bytes() == b"x" * 100
    assert list(tmp_path.iterdir()) == [tmp_path / "same"]
