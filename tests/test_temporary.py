"""The folder for sockets is short, this user's own, and has room."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.errors import BenchmarkError
from benchmark.temporary import SOCKETS_OF_RAY, ray_folder, socket_folder


@pytest.fixture
def base() -> Iterator[Path]:
    """Return a short folder: that of pytest is too long for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def bind(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize("length", [0, 1, 10, 30, 50, 200])
def test_a_socket_can_be_made_whatever_the_length_of_the_preferred_folder(base: Path, length: int) -> None:
    long = base / "/".join(["x" * 50] * (length // 50) + ["y" * (length % 50)])
    folder = socket_folder(long, SOCKETS_OF_RAY, 1, [base])
    assert folder in {long, base / f"ray-{os.getuid()}"}
    bind(folder / SOCKETS_OF_RAY)


def test_characters_of_several_bytes_count(base: Path) -> None:
    assert socket_folder(base / ("結果" * 5), SOCKETS_OF_RAY, 1, [base]).name.startswith("ray-")


def test_a_suitable_folder_is_used_as_it_is(base: Path) -> None:
    assert socket_folder(base / "ray", SOCKETS_OF_RAY, 1, [base]) == base / "ray"
    assert stat.S_IMODE((base / "ray").stat().st_mode) == 0o700


def test_folders_of_other_users_files_and_links_are_left_alone(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (base / "file").write_text("")
    (base / "mine").mkdir()
    (base / "link").symlink_to(base / "mine")
    for name in ("file", "link"):
        assert socket_folder(base / name, "s", 1, [base]).name == f"ray-{os.getuid()}"
    (base / "theirs").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    with pytest.raises(BenchmarkError, match=r"theirs: it belongs to another user; .*ray-4242: it belongs to another"):
        socket_folder(base / "theirs", "s", 1, [base])


def test_a_full_disk_is_passed_over(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = base / "full"
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6 if full in [path, *path.parents] else 10**9)
    )
    assert socket_folder(full / "ray", "s", 10**8, [base]).parent == base
    with pytest.raises(BenchmarkError, match=r"1 MB free, 100 MB are needed.*set TMPDIR to a short path with 100 MB"):
        socket_folder(full / "ray", "s", 10**8, [full])


def test_a_folder_that_cannot_be_written_is_passed_over(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_only = base / "read-only"
    read_only.mkdir()
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != read_only and real(path, mode))
    assert socket_folder(read_only, "s", 1, [base]).name == f"ray-{os.getuid()}"
    assert socket_folder(Path("/proc/nothing/here"), "s", 1, [base]).name == f"ray-{os.getuid()}"


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_the_folder_of_ray_follows_its_variables(variable: str, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, str(base))
    assert ray_folder() == base / "ray"
    monkeypatch.setenv(variable, str(base / ("x" * 60)))
    assert len(str(ray_folder())) < 20
