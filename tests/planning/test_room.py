"""A results folder on a disk that is too small: `plan` and `run` say so before the work, with both numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

import benchmark
from benchmark.api.schemas import SCHEMAS
from benchmark.errors import BenchmarkError
from benchmark.planning import room
from benchmark.planning.estimate import Estimate
from benchmark.planning.node import Node
from benchmark.planning.room import lacking_room, require_room
from benchmark.spec.options import RunOptions
from tests.conftest import AST, Cli
from tests.samples import make_cost

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
    assert lacking_room(tmp_path / "out", estimates(10, 1 * MB, 12 * MB), options) == ""  # 10 + 4 x 12
    assert lacking_room(tmp_path / "out", estimates(10, 1 * MB, 20 * MB), options) == (
        f"{tmp_path / 'out'}: 60 MB are free, but 10 trials need about 10.3 MB for records and 80 MB for resume states"
    )
    assert lacking_room(tmp_path / "out", estimates(10, 1 * MB, 20 * MB), RunOptions(tmp_path, cpus=2)) == ""
    free.free = 100 * MB
    assert lacking_room(tmp_path / "out", estimates(10, 1 * MB, 20 * MB), options) == ""


def test_states_that_are_there_need_no_more_room(tmp_path: Path, free: SimpleNamespace) -> None:
    (tmp_path / "resume" / "id").mkdir(parents=True)
    (tmp_path / "resume" / "id" / "last").write_bytes(bytes(30 * MB))
    assert lacking_room(tmp_path, estimates(10, 1 * MB, 18 * MB), RunOptions(tmp_path)) == ""
    (tmp_path / "resume" / "id" / "last").unlink()
    lack = lacking_room(tmp_path, estimates(10, 1 * MB, 18 * MB), RunOptions(tmp_path))
    assert lack.endswith("72 MB for resume states")


def test_many_small_records_count(tmp_path: Path, free: SimpleNamespace) -> None:
    lack = lacking_room(tmp_path, estimates(3000, 0, 0), RunOptions(tmp_path))
    assert "3,000 trials need about 90 MB for records" in lack


def test_on_a_cluster_one_state_counts(tmp_path: Path, free: SimpleNamespace) -> None:
    options = RunOptions(tmp_path, address="auto")
    assert lacking_room(tmp_path, estimates(10, 1 * MB, 40 * MB), options) == ""
    assert lacking_room(tmp_path, estimates(10, 1 * MB, 60 * MB), options).endswith("60 MB for resume states")


def test_only_what_is_written_in_any_case_refuses_a_run(tmp_path: Path, free: SimpleNamespace) -> None:
    options = RunOptions(tmp_path)
    require_room(tmp_path, estimates(10, 20 * MB, 100 * MB), options)  # predictions may be compressed to 50 MB
    with pytest.raises(BenchmarkError) as caught:
        require_room(tmp_path, estimates(10, 28 * MB, 0), options)
    assert str(caught.value) == (
        f"{tmp_path}: 60 MB are free, but the records of 10 trials take at least 70 MB; make room, or use another "
        "--results"
    )
    cost = make_cost(stored_bytes=6 * MB)
    kept = {name: dataclasses.replace(each, cost=cost) for name, each in estimates(10, 0, 0).items()}
    require_room(tmp_path, kept, options)
    with pytest.raises(BenchmarkError, match="of 10 trials take at least 60"):
        require_room(tmp_path, kept, RunOptions(tmp_path, keep_weights=True))


def test_a_run_is_refused_before_it_trains(tmp_path: Path, free: SimpleNamespace, data_root: Path, cli: Cli) -> None:
    run = ["run", "--grid", "quick", "--method", "linear", "--backbone", AST, "--dataset", "esc50", "--fold", "1"]
    free.free = 1000
    done = cli(*run, "--data-root", data_root, "--results", tmp_path / "out", "--cache", "none")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / 'out'}: 1 kB are free, but the records of 1 trial take at least")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("*.npz"))


def test_plan_says_it_too(tmp_path: Path, free: SimpleNamespace) -> None:
    planned = benchmark.plan("smoke", methods="linear", results=tmp_path)
    assert planned.no_room == planned.as_dict()["no_room"] == ""
    assert "no room" not in str(planned)
    SCHEMAS["plan"].model_validate(planned.as_dict())
    free.free = 1000
    planned = benchmark.plan("smoke", methods="linear", results=tmp_path)
    assert f"no room: {tmp_path}: 1 kB are free, but 2 trials need about" in str(planned)
