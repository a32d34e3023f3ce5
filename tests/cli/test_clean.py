"""`clean` removes the files that no record needs, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.records.lease import Lease
from benchmark.records.leftovers import find_leftovers
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from tests.conftest import Cli
from tests.samples import make_record


@pytest.fixture
def store(make_request: Callable[..., TrialRequest], tmp_path: Path) -> ResultStore:
    """Return results of a finished and an unfinished trial, with files that they and dead processes left."""
    store = ResultStore(tmp_path / "out")
    done, open_ = make_request(), make_request(seeds=[1])
    store.submit([done, open_])
    store.write(make_record(done, [0.5]), {})
    for request in (done, open_):
        store.write_attempt(Attempt.now(request, "failed", "no", "no", "code"))
        (store.folder / "resume" / request.id).mkdir(parents=True)
        (store.folder / "resume" / request.id / "last.state").write_bytes(b"1234")
    (store.folder / "resume" / "0123456789ab").mkdir()
    orphan = store.record_path(open_).with_suffix(".npz")
    orphan.write_bytes(b"5")
    store.weights_path(open_).write_bytes(b"5")
    store.weights_path(done).write_bytes(b"7")
    (store.folder / "trials" / ".x.json.abc.tmp").write_bytes(b"6")
    (store.folder / ".tune" / "run-1").mkdir(parents=True)
    return store


def test_what_is_removed_and_what_stays(store: ResultStore, cli: Cli) -> None:
    [record] = list(store.records())
    open_ = next(request for request in store.submitted() if request.id != record.id)
    before = {path for path in store.folder.rglob("*") if path.is_file()}
    dry = cli("clean", "--results", store.folder, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert before == {path for path in store.folder.rglob("*") if path.is_file()}
    done = cli("clean", "--results", store.folder)
    assert done.returncode == 0, done.stderr
    assert "1 x resume state of a finished trial" in done.stdout
    left = {str(path.relative_to(store.folder)) for path in store.folder.rglob("*") if path.is_file()}
    assert left == {
        "grid.json",
        f"trials/{record.request.path_stem}.json",
        f"trials/{record.request.path_stem}.npz",
        f"trials/{record.request.path_stem}.safetensors",
        f"resume/{open_.id}/last.state",
        f"attempts/{open_.id}-1.json",
    }
    assert find_leftovers(store) == []


def test_not_while_trials_run(store: ResultStore) -> None:
    with Lease.take(store.folder, "0123456789ab"), pytest.raises(BenchmarkError, match="running here: 1 trial;"):
        find_leftovers(store)
