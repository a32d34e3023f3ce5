"""Arrays on disk: errors of the system remove nothing, damage costs one array, dead and parallel writers do no harm."""

from __future__ import annotations

import builtins
import errno
import fcntl
import hashlib
import io
import os
import resource
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.data import array_shard
from benchmark.data.array_cache import ArrayCache

KEYS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(5)]
ARRAYS = {key: np.full(10 + number, number, np.float32) for number, key in enumerate(KEYS)}
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache of one shard with five arrays."""
    place = tmp_path / "arrays"
    add(place, ARRAYS)
    return place


def add(folder: Path, arrays: dict[str, np.ndarray]) -> OSError | None:
    with ArrayCache(folder).filling() as filler:
        for key, values in arrays.items():
            filler.add(key, values)
    return filler.error


def stored(folder: Path) -> list[str]:
    """Keys of the arrays that a new process finds, each with the right values."""
    cache = ArrayCache(folder)
    found = {key: values for key in ARRAYS if (values := cache.get(key)) is not None}
    assert all(np.array_equal(values, ARRAYS[key]) for key, values in found.items())
    return list(found)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".npz", ".f32"}}


def damage(folder: Path, number: int) -> None:
    """Change a byte of one array."""
    [data] = folder.glob("*.f32")
    start = sum(4 * len(ARRAYS[key]) for key in KEYS[:number])
    with data.open("r+b") as file:
        file.seek(start)
        file.write(b"\x01")


def test_a_part_of_an_array_is_checked_as_a_whole_once(folder: Path) -> None:
    values = np.arange(20, dtype=np.float32)
    add(folder.parent / "other", {OTHER: values})
    cache = ArrayCache(folder.parent / "other")
    assert [cache.size(key) for key in (OTHER, KEYS[0], None)] == [20, None, None]
    for _ in range(2):  # the second time, only the part is read
        for start, size in ((0, 5), (3, 4), (18, 9), (7, None)):
            part = cache.get(OTHER, start, size)
            assert part is not None
            assert part.tolist() == values[start : None if size is None else start + size].tolist()
    damage(folder, 0)
    with pytest.warns(UserWarning, match="damaged"):
        assert ArrayCache(folder).get(KEYS[0], 5, 2) is None  # the damage is elsewhere in the array


class Failing(io.FileIO):
    """A file that opens, but cannot be read."""

    number = 0

    def read(self, size: int = -1, /) -> bytes:
        raise OSError(self.number, os.strerror(self.number))

    readall = readinto = read  # type: ignore[assignment]


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, suffix: str, call: str, number: int) -> Iterator[None]:
    """Let a call on files with a suffix fail."""
    real_open, real_stat = io.open, Path.stat

    def matches(path: Any) -> bool:
        return isinstance(path, str | Path) and Path(path).suffix == suffix

    def fail_to_open(path: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if not matches(path) or "r" not in mode:
            return real_open(path, mode, *rest, **options)
        if call == "open":
            raise OSError(number, os.strerror(number))
        file = Failing(path)
        file.number = number
        return file

    def fail_to_stat(path: Path, **options: bool) -> os.stat_result:
        if matches(path):
            raise OSError(number, os.strerror(number))
        return real_stat(path, **options)

    with monkeypatch.context() as patch:
        if call == "stat":
            patch.setattr(Path, "stat", fail_to_stat)
        else:
            patch.setattr(builtins, "open", fail_to_open)
            patch.setattr(io, "open", fail_to_open)
        yield


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.ESTALE, errno.EIO])
@pytest.mark.parametrize(
    ("suffix", "call"), [(".npz", "open"), (".npz", "read"), (".f32", "stat"), (".f32", "open"), (".f32", "read")]
)
def test_an_error_of_the_system_removes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, call: str, number: int
) -> None:
    before = contents(folder)
    with failing(monkeypatch, suffix, call, number):
        with pytest.warns(UserWarning, match="cannot be read now"):
            assert stored(folder) == []
        with warnings.catch_warnings(action="ignore"):
            assert add(folder, {OTHER: np.ones(3)}) is None  # a writer holds the lock
    assert before.items() <= contents(folder).items()
    assert stored(folder) == KEYS


def test_an_array_that_could_not_be_read_once_is_read_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ArrayCache(folder)
    with failing(monkeypatch, ".f32", "read", errno.EIO), pytest.warns(UserWarning, match="Input/output error"):
        assert cache.get(KEYS[0]) is None
    assert np.array_equal(cache.get(KEYS[0]), ARRAYS[KEYS[0]])


def test_too_many_open_files_remove_nothing(folder: Path) -> None:
    before, cache = contents(folder), ArrayCache(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.warns(UserWarning, match="Too many open files"):
            found, at_start, error = cache.get(KEYS[0]), KEYS[0] in ArrayCache(folder), add(folder, {OTHER: np.ones(3)})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found is None
    assert not at_start
    assert error is not None
    assert error.errno == errno.EMFILE
    assert contents(folder) == before
    assert stored(folder) == KEYS


def test_no_memory_for_an_index_removes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    before = contents(folder)
    with monkeypatch.context() as patch:
        patch.setattr(np, "load", no_memory)
        with pytest.warns(UserWarning, match="out of memory"):
            assert add(folder, {}) is None
    assert contents(folder) == before


def test_a_damaged_array_costs_no_other(folder: Path) -> None:
    damage(folder, 2)
    with pytest.warns(UserWarning, match="a part of the audio cache is damaged") as caught:
        assert stored(folder) == [key for key in KEYS if key != KEYS[2]]
    assert len(caught) == 1
    assert KEYS[2] not in ArrayCache(folder)  # so that the next run adds it
    add(folder, {KEYS[2]: ARRAYS[KEYS[2]]})
    assert stored(folder) == KEYS


def test_a_shard_without_a_good_array_is_removed(folder: Path) -> None:
    for number in range(5):
        damage(folder, number)
    [data] = folder.glob("*.f32")
    data.write_bytes(b"\x07" * data.stat().st_size)
    with pytest.warns(UserWarning, match="damaged"):
        assert stored(folder) == []
    assert contents(folder) == {}


@pytest.mark.parametrize("obstacle", ["another writer", "no locks", "read-only"])
def test_damage_is_not_removed_without_the_lock(folder: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str) -> None:
    damage(folder, 1)
    before = contents(folder)
    with (folder / ".lock").open("w") as handle, monkeypatch.context() as patch:
        if obstacle == "another writer":
            fcntl.flock(handle, fcntl.LOCK_EX)
        elif obstacle == "no locks":
            patch.setattr("fcntl.flock", fail_with(errno.ENOLCK))
        else:
            patch.setattr(Path, "open", read_only(folder))
        cache = ArrayCache(folder)
        with pytest.warns(UserWarning, match="damaged"):
            assert cache.get(KEYS[1]) is None
        assert KEYS[1] not in cache
        assert np.array_equal(cache.get(KEYS[2]), ARRAYS[KEYS[2]])
        assert contents(folder) == before


def test_a_damaged_index_is_removed_by_a_writer_with_the_lock_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [index] = folder.glob("*.npz")
    index.write_bytes(index.read_bytes().replace(bytes.fromhex(KEYS[2]), bytes.fromhex(OTHER)))
    before = contents(folder)
    assert stored(folder) == []
    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", fail_with(errno.ENOLCK))
        assert add(folder, {}) is None
    assert contents(folder) == before
    add(folder, {})
    assert contents(folder) == {}


@pytest.mark.parametrize("kept", [0, 20, 300])
def test_a_cut_index_is_damaged(folder: Path, kept: int) -> None:
    [index] = folder.glob("*.npz")
    os.truncate(index, kept)
    assert stored(folder) == []
    add(folder, ARRAYS)
    assert stored(folder) == KEYS


def test_arrays_before_the_end_of_a_cut_shard_are_good(folder: Path) -> None:
    [data] = folder.glob("*.f32")
    cache = ArrayCache(folder)
    assert cache.get(KEYS[4]) is not None
    os.truncate(data, 4 * (10 + 11 + 6))
    with pytest.warns(UserWarning, match="ends too early"):
        assert cache.get(KEYS[4]) is None  # never a part of an array, and the process is not killed
    assert stored(folder) == KEYS[:2]
    add(folder, {key: ARRAYS[key] for key in KEYS[2:]})
    assert stored(folder) == KEYS


def test_a_shard_that_is_gone_is_made_again(folder: Path) -> None:
    [data] = folder.glob("*.f32")
    data.unlink()
    assert stored(folder) == []
    add(folder, ARRAYS)
    assert stored(folder) == KEYS


def fail_with(number: int) -> Any:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def read_only(folder: Path) -> Any:
    """`Path.open` on a read-only file system; the tests may run as root, who may write everywhere."""
    real = Path.open

    def open_(self: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if "r" not in mode and self.is_relative_to(folder):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(self, mode, *rest, **options)

    return open_


def test_a_read_only_cache_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(folder)
    monkeypatch.setattr(Path, "open", read_only(folder))
    error = add(folder, {OTHER: np.ones(3)})
    assert error is not None
    assert error.errno == errno.EROFS
    assert contents(folder) == before
    assert stored(folder) == KEYS


@pytest.mark.parametrize("where", ["os.fsync", "benchmark.data.array_shard.write_atomic"])
def test_a_disk_that_fills_up_ends_writing_and_leaves_no_part(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    before = sorted(folder.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(where, fail_with(errno.ENOSPC))
        error = add(folder, {OTHER: np.ones(3), KEYS[0]: np.ones(3)})
    assert error is not None
    assert error.errno == errno.ENOSPC
    assert sorted(folder.iterdir()) == before
    assert stored(folder) == KEYS


def test_a_killed_writer_leaves_nothing_that_counts(folder: Path) -> None:
    code = (
        "import sys, time, pathlib, numpy\n"
        "from benchmark.data.array_cache import ArrayCache\n"
        "with ArrayCache(pathlib.Path(sys.argv[1])).filling() as filler:\n"
        "    filler.add(sys.argv[2], numpy.zeros(10**6))\n"
        "    print('added', flush=True)\n"
        "    time.sleep(600)\n"
    )
    before = contents(folder)
    with subprocess.Popen([sys.executable, "-c", code, folder, OTHER], stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"added\n"
        writer.kill()
    assert list(folder.glob("*.tmp"))
    assert stored(folder) == KEYS
    assert add(folder, {}) is None
    assert not list(folder.glob("*.tmp"))
    assert contents(folder) == before


def test_a_second_writer_waits_and_finds_what_the_first_added(tmp_path: Path) -> None:
    locked, release = threading.Event(), threading.Event()

    def write() -> None:
        with ArrayCache(tmp_path).filling() as filler:
            filler.add(KEYS[0], ARRAYS[KEYS[0]])
            locked.set()
            assert release.wait(60)

    first, second = threading.Thread(target=write), ArrayCache(tmp_path)
    first.start()
    assert locked.wait(60)
    threading.Timer(0.05, release.set).start()
    with pytest.warns(UserWarning, match="another process is filling the audio cache"), second.filling():
        assert KEYS[0] in second
    first.join()


def test_writers_without_locks_between_them_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines on a file system whose locks do not reach the other machine."""
    monkeypatch.setattr("fcntl.flock", lambda *_: None)
    with ArrayCache(tmp_path).filling() as first:
        first.add(KEYS[0], ARRAYS[KEYS[0]])
        monkeypatch.setattr("socket.gethostname", lambda: "another-machine")
        add(tmp_path, {key: ARRAYS[key] for key in KEYS[:3]})
        assert stored(tmp_path) == KEYS[:3]
        first.add(KEYS[3], ARRAYS[KEYS[3]])
    assert stored(tmp_path) == KEYS[:4]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_was_added_before_an_interruption_is_kept(tmp_path: Path, error: type[BaseException]) -> None:
    def interrupted() -> None:
        with ArrayCache(tmp_path).filling() as filler:
            filler.add(KEYS[0], ARRAYS[KEYS[0]])
            raise error

    with pytest.raises(error):
        interrupted()
    assert stored(tmp_path) == KEYS[:1]


def test_what_a_dead_writer_of_this_machine_left_is_removed(folder: Path) -> None:
    before = contents(folder)
    name, others = f"{socket.gethostname()}-{'0' * 32}", f"{socket.gethostname()}-2-{'0' * 32}"
    ours = [folder / f".{name}.tmp", folder / f"{name}.f32", folder / f".{name}.npz.ab12_x.tmp"]
    theirs = [folder / f".{others}.tmp", folder / f"{others}.f32"]
    for path in ours + theirs:
        path.touch()
    add(folder, {})
    assert [path.exists() for path in ours] == [False] * 3
    assert [path.exists() for path in theirs] == [True] * 2
    assert before.items() <= contents(folder).items()


def test_shards_are_complete_when_they_are_large_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_shard, "SHARD_BYTES", 100)
    other = folder.parent / "other"
    add(other, ARRAYS)
    assert len(list(other.glob("*.npz"))) == 2
    assert stored(other) == KEYS


def test_arrays_may_be_empty(tmp_path: Path) -> None:
    add(tmp_path, {OTHER: np.empty((0, 128), np.float32)})
    found = ArrayCache(tmp_path).get(OTHER)
    assert found is not None
    assert found.shape == (0,)


def test_an_empty_cache_has_nothing(tmp_path: Path) -> None:
    empty = ArrayCache(tmp_path / "none")
    assert OTHER not in empty
    assert empty.get(OTHER) is None
    assert empty.get(None) is None
    assert not (tmp_path / "none").exists()
