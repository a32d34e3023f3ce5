"""Leases on trials: one holder at a time, dead holders are replaced, a holder that lost its lease writes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.records import lease as lease_module
from benchmark.records.lease import Lease, LostLeaseError, alive, leased


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
    path.write_text(json.dumps({**content, "born": content["born"] - 1000}))
    assert not alive(path)


@pytest.mark.parametrize(("age", "holds"), [(5, True), (300, False)])
def test_a_holder_on_another_machine_is_alive_by_its_heartbeat(tmp_path: Path, age: float, holds: bool) -> None:
    path = tmp_path / "leases" / "abc.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"token": "x", "host": "another-machine", "pid": 1, "born": 0}))
    os.utime(path, (time.time() - age, time.time() - age))
    assert alive(path) is holds
    assert (Lease.take(tmp_path, "abc") is None) is holds


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
    other = json.dumps({"token": "other", "host": "another-machine", "pid": 1, "born": 0})
    lease.path.write_text(other)
    with pytest.raises(LostLeaseError, match="abc: another process has taken over this trial"):
        lease.check()
    with lease:
        pass
    assert lease.path.read_text() == other


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_an_incomplete_lease_file_is_judged_by_its_age(tmp_path: Path, content: str) -> None:
    path = tmp_path / "leases" / "abc.json"
    path.parent.mkdir()
    path.write_text(content)
    assert alive(path)
    os.utime(path, (0, 0))
    assert not alive(path)
    assert Lease.take(tmp_path, "abc") is not None
