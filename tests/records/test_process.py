"""Which process is which."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from benchmark.records import process
from benchmark.records.process import ProcessIdentity, this_host


@pytest.fixture
def fresh_host() -> Iterator[None]:
    this_host.cache_clear()
    yield
    this_host.cache_clear()


def write_proc(folder: Path, *, boot: str = "boot-1", namespace: str = "pid:[1]") -> Path:
    """Write the files of /proc that name a host."""
    (folder / "sys/kernel/random").mkdir(parents=True)
    (folder / "sys/kernel/random/boot_id").write_text(f"{boot}\n")
    (folder / "self/ns").mkdir(parents=True)
    (folder / "self/ns/pid").symlink_to(namespace)
    return folder


@pytest.mark.usefixtures("fresh_host")
def test_containers_and_machines_with_one_host_name_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    for number, other in enumerate(({}, {"boot": "boot-2"}, {"namespace": "pid:[2]"})):
        monkeypatch.setattr(process, "PROC", write_proc(tmp_path / str(number), **other))
        this_host.cache_clear()
        names.add(this_host())
    assert len(names) == 3
    assert all(name.endswith(f" {socket.gethostname()}") for name in names)


@pytest.mark.usefixtures("fresh_host")
def test_without_proc_a_process_is_known_by_its_start_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    monkeypatch.setattr(process, "PROC", tmp_path)
    here = ProcessIdentity.this()
    assert here == ProcessIdentity(socket.gethostname(), os.getpid(), psutil.Process().create_time())
    assert here.state() == replace(here, started=here.started + 1.5).state() == "running"
    assert replace(here, started=here.started + 2.5).state() == "ended"
    assert replace(here, pid=2**30).state() == "ended"


def test_a_process_that_ended_is_known_even_before_its_parent_collects_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity(this_host(), child.pid, process._start_ticks(child.pid) or 0)
    assert identity.state() == "running"
    assert child.stdin
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert identity.state() == "ended"
    child.wait()
    assert identity.state() == "ended"


def test_elsewhere_nothing_is_known() -> None:
    assert replace(ProcessIdentity.this(), host="another").state() == "unknown"


def test_a_process_that_proc_hides_is_not_taken_for_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the mount option hidepid and a process of another user."""
    here = ProcessIdentity.this()
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").touch()
    monkeypatch.setattr(process, "PROC", tmp_path)

    def refused(pid: int, number: int) -> None:
        raise PermissionError

    assert replace(here, pid=2**22 + 1).state() == "ended"
    monkeypatch.setattr(os, "kill", refused)
    assert here.state() == "unknown"


def test_an_identity_reads_back() -> None:
    here = ProcessIdentity.this()
    assert ProcessIdentity.parse({"token": "x", **asdict(here)}) == here
    assert ProcessIdentity.parse({"host": "h", "pid": "1", "started": 1}) is None
    assert ProcessIdentity.parse({}) is None
