"""A results folder on a disk that is too small is refused before the work, with both numbers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import benchmark
from benchmark.api.schemas import SCHEMAS
from benchmark.errors import BenchmarkError
from benchmark.planning import room
from benchmark.planning.estimate import Estimate
from benchmark.planning.node import Node
from benchmark.planning.room import require_room
from benchmark.spec.options import RunOptions

MB = 10**6


def estimates(number: int, record: int, resume: int) -> dict[str, Estimate]:
    return {
        str(trial): Estimate(None, 1.0, "operations", 0.0, 0, checkpoint_bytes=resume, record_bytes=record)
        for trial in range(number)
    }


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    disk = SimpleNamespace(free=60 * MB)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: disk)
    monkeypatch.setattr(room, "node_here", lambda: Node(4, 0))
    return disk


def test_records_and_resume_states_of_trials_at_once_count(tmp_path: Path, free: SimpleNamespace) -> None:
    options = RunOptions(tmp_path)
    require_room(tmp_path / "out", estimates(10, 1 * MB, 12 * MB), options)  # 10 + 4 x 12
    with pytest.raises(BenchmarkError) as caught:
        require_room(tmp_path / "out", estimates(10, 1 * MB, 20 * MB), options)
    assert str(caught.value) == (
        f"{tmp_path / 'out'}: 60 MB are free, but 10 trials need about 10.3 MB for records and 80 MB for resume "
        "states; make room, or use another --results"
    )
    require_room(tmp_path / "out", estimates(10, 1 * MB, 20 * MB), RunOptions(tmp_path, cpus=2))
    free.free = 100 * MB
    require_room(tmp_path / "out", estimates(10, 1 * MB, 20 * MB), options)


def test_states_that_are_there_need_no_more_room(tmp_path: Path, free: SimpleNamespace) -> None:
    (tmp_path / "resume" / "id").mkdir(parents=True)
    (tmp_path / "resume" / "id" / "last").write_bytes(bytes(30 * MB))
    require_room(tmp_path, estimates(10, 1 * MB, 18 * MB), RunOptions(tmp_path))
    (tmp_path / "resume" / "id" / "last").unlink()
    with pytest.raises(BenchmarkError, match="72 MB for resume states"):
        require_room(tmp_path, estimates(10, 1 * MB, 18 * MB), RunOptions(tmp_path))


def test_many_small_records_count(tmp_path: Path, free: SimpleNamespace) -> None:
    with pytest.raises(BenchmarkError, match="3,000 trials need about 90 MB for records"):
        require_room(tmp_path, estimates(3000, 0, 0), RunOptions(tmp_path))


def test_on_a_cluster_one_state_counts(tmp_path: Path, free: SimpleNamespace) -> None:
    require_room(tmp_path, estimates(10, 1 * MB, 40 * MB), RunOptions(tmp_path, address="auto"))
    with pytest.raises(BenchmarkError, match="60 MB for resume states"):
        require_room(tmp_path, estimates(10, 1 * MB, 60 * MB), RunOptions(tmp_path, address="auto"))


def test_plan_says_it_too(tmp_path: Path, free: SimpleNamespace) -> None:
    planned = benchmark.plan("smoke", methods="linear", results=tmp_path)
    assert planned.no_room == planned.as_dict()["no_room"] == ""
    assert "no room" not in str(planned)
    SCHEMAS["plan"].model_validate(planned.as_dict())
    free.free = 1000
    planned = benchmark.plan("smoke", methods="linear", results=tmp_path)
    assert f"no room: {tmp_path}: 1 kB are free, but 2 trials need about" in str(planned)
