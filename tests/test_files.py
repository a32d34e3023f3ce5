"""Files are written completely or not at all."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main as main_room
from benchmark.data.synthetic.sound import Sound
from benchmark.errors import BenchmarkError
from benchmark.files import naming, replacing_folder, write_atomic


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


def full_disk(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_error_of_writing_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python names no file when writing fails, and a reader has to know which disk is full."""
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomic(tmp_path / "a", b"x")
    assert caught.value.filename == str(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_errors_of_other_files_keep_their_names(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, naming(tmp_path / "a"):
        (tmp_path / "b").read_bytes()
    assert caught.value.filename == str(tmp_path / "b")


def test_generated_audio_that_does_not_fit_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Sound("x/a.wav", lambda: np.zeros(100, np.float32), 16000)
    sound.write(tmp_path)
    with (tmp_path / "x" / "a.wav").open("rb") as handle:
        assert handle.read(4) == b"RIFF"
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left") as caught:
        sound.write(tmp_path)
    assert caught.value.filename == str(tmp_path / "x" / "a.wav")


def test_the_command_line_says_which_disk_is_full_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def app(**_: object) -> None:
        with naming(tmp_path / "a"):
            full_disk()

    monkeypatch.setattr(main_room, "app", app)
    with pytest.raises(SystemExit) as ended:
        main_room.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert f"error: {tmp_path / 'a'}: No space left on device (" in error
    assert error.rstrip().endswith("B are free); make room and call the command again")


def _fail_after_a_file(folder: Path) -> None:
    assert list(folder.iterdir()) == []
    (folder / "third.txt").write_text("")
    raise OSError("the disk is full")


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "new" / "site"
    for text in ("first", "second"):
        with replacing_folder(place) as folder:
            assert list(folder.iterdir()) == []
            (folder / f"{text}.txt").write_text(text)
            assert (place / "second.txt").exists() is False
    assert [path.name for path in place.iterdir()] == ["second.txt"]
    with pytest.raises(OSError, match="full"), replacing_folder(place) as folder:
        _fail_after_a_file(folder)
    assert [path.name for path in place.iterdir()] == ["second.txt"]
    assert [path.name for path in place.parent.iterdir()] == ["site"]


def test_what_a_killed_process_left_of_a_folder_is_mended(tmp_path: Path) -> None:
    place, draft, earlier = tmp_path / "site", tmp_path / ".site.new", tmp_path / ".site.old"
    for left in (draft / "inner", earlier):
        left.mkdir(parents=True)
        (left / "file").write_text("x")
    with pytest.raises(OSError, match="full"), replacing_folder(place) as folder:
        _fail_after_a_file(folder)
    assert (place / "file").read_text() == "x"  # the one before the process was killed
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_two_processes_do_not_write_one_folder(tmp_path: Path) -> None:
    with (
        replacing_folder(tmp_path / "site"),
        pytest.raises(BenchmarkError, match="another process is writing it"),
        replacing_folder(tmp_path / "site"),
    ):
        pass
    assert (tmp_path / "site").is_dir()
