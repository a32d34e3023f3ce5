"""Leases on trials: one holder at a time, dead holders are replaced, a holder that lost its lease writes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO

import psutil
import pytest

from benchmark.records import lease as lease_module
from benchmark.records.lease import Lease, LostLeaseError, alive, held_by_this_process, leased
from benchmark.records.process import ProcessIdentity, this_host


def test_a_trial_has_one_holder(tmp_path: Path) -> None:
    first = Lease.take(tmp_path, "abc")
    assert first is not None
    assert Lease.take(tmp_path, "abc") is None
    assert leased(tmp_path) == {"abc"}
    with first:
        first.check()
    assert leased(tmp_path) == set()
    second = Lease.take(tmp_path, "abc")
    assert second is not None
    second.check()


def test_a_dead_holder_of_this_machine_is_replaced_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from benchmark.records.lease import Lease\n"
        "assert Lease.take(Path(sys.argv[1]), 'abc'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert (tmp_path / "leases" / "abc.json").is_file()
    lease = Lease.take(tmp_path, "abc")
    assert lease is not None
    lease.check()


def test_a_reused_process_number_is_another_process(tmp_path: Path) -> None:
    assert Lease.take(tmp_path, "abc")
    path = tmp_path / "leases" / "abc.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "started": content["started"] - 1}))  # one tick
    assert not alive(path)


@pytest.mark.parametrize("step", [-3600, -3, 3, 3600])
def test_a_step_of_the_clock_takes_no_trial_from_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """A process that starts after the step computes another start time of the holder; so does psutil."""
    assert Lease.take(tmp_path, "abc")
    created, now = psutil.Process.create_time, time.time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: created(process) + step)
    monkeypatch.setattr(time, "time", lambda: now() + step)
    path = tmp_path / "leases" / "abc.json"
    os.utime(path, (now() - step, now() - step))  # the last heartbeat was before the step
    assert alive(path)
    assert Lease.take(tmp_path, "abc") is None
    assert held_by_this_process(path)


def other_holder(folder: Path, age: float, **changes: object) -> Path:
    """Write the lease of a holder that cannot be seen from here.

    Args:
        folder: the results folder.
        age: seconds since its last heartbeat.
        changes: what differs from a lease of this process.
    """
    path = folder / "leases" / "abc.json"
    path.parent.mkdir(exist_ok=True)
    this = asdict(ProcessIdentity.this())
    path.write_text(json.dumps({"token": "x", **this, "host": "another-machine", **changes}))
    os.utime(path, (time.time() - age, time.time() - age))
    return path


@pytest.fixture
def quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "BEAT_SECONDS", 0.1)


@pytest.mark.usefixtures("quick_beats")
@pytest.mark.parametrize(("age", "holds"), [(5, True), (300, False), (-300, False)])
def test_a_holder_on_another_machine_is_alive_by_its_heartbeat(tmp_path: Path, age: float, holds: bool) -> None:
    path = other_holder(tmp_path, age)
    assert alive(path) is holds
    assert (Lease.take(tmp_path, "abc") is None) is holds


@pytest.mark.usefixtures("quick_beats")
@pytest.mark.parametrize("step", [-3600, 3600])
def test_a_step_of_the_file_systems_clock_takes_no_trial_from_another_machine(tmp_path: Path, step: float) -> None:
    path = other_holder(tmp_path, step)
    beat = threading.Timer(0.05, os.utime, [path])
    beat.start()
    assert Lease.take(tmp_path, "abc") is None
    beat.join()
    assert json.loads(path.read_text())["token"] == "x"


def test_a_container_with_the_same_host_name_is_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a process with the number of this one, and its own processes are not those of here."""
    here = this_host()
    monkeypatch.setattr(lease_module.ProcessIdentity, "this", lambda: ProcessIdentity("another boot", os.getpid(), 5))
    assert Lease.take(tmp_path, "abc")
    path = tmp_path / "leases" / "abc.json"
    assert this_host() == here
    assert alive(path)  # by its heartbeat
    assert Lease.take(tmp_path, "abc") is None


def test_a_lease_has_a_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "BEAT_SECONDS", 0.05)
    lease = Lease.take(tmp_path, "abc")
    assert lease is not None
    os.utime(lease.path, (0, 0))
    time.sleep(0.5)
    assert lease.path.stat().st_mtime > 1000


def test_a_lost_lease_is_an_error_and_is_not_removed(tmp_path: Path) -> None:
    lease = Lease.take(tmp_path, "abc")
    assert lease is not None
    other = json.dumps({"token": "other", "host": "another-machine", "pid": 1, "started": 0})
    lease.path.write_text(other)
    with pytest.raises(LostLeaseError, match="abc: another process has taken over this trial"):
        lease.check()
    with lease:
        pass
    assert lease.path.read_text() == other


@pytest.mark.usefixtures("quick_beats")
@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"host": 1}', '{"host": "h", "pid": "x", "born": 1.5}'])
def test_an_incomplete_lease_file_is_judged_by_its_age(tmp_path: Path, content: str) -> None:
    path = tmp_path / "leases" / "abc.json"
    path.parent.mkdir()
    path.write_text(content)
    assert alive(path)
    os.utime(path, (0, 0))
    assert not alive(path)
    assert Lease.take(tmp_path, "abc") is not None


def test_on_a_full_disk_no_lease_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, _: str) -> IO[bytes]:
        os.close(descriptor)
        return Path("/dev/full").open("wb")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", full)
        with pytest.raises(OSError, match="No space"):
            Lease.take(tmp_path, "abc")
    assert leased(tmp_path) == set()
    assert Lease.take(tmp_path, "abc")
