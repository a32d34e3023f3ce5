"""`clean` removes the files that no record needs, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.records.lease import Lease
from benchmark.records.leftovers import find_leftovers
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.submissions.shrink import find_large
from tests.conftest import REPOSITORY, Cli
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


def test_smaller_predictions_change_no_number(cli: Cli, tmp_path: Path) -> None:
    """Intervals, differences and classes come from the predictions, so they tell whether anything is missing."""
    folder = tmp_path / "out"
    for kind in ("trials", "floors"):
        shutil.copytree(REPOSITORY / "results/demo" / kind, folder / kind)
    shutil.copy(REPOSITORY / "results/demo/grid.json", folder)

    def size() -> int:
        return sum(path.stat().st_size for path in folder.rglob("*.npz"))

    def explained() -> str:
        done = cli("explain", "ast-demo", "gtzan", "aat_ms", "--classes", "--json", "--results", folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    before, large = explained(), size()
    dry = cli("clean", "--predictions", "--dry-run", "--results", folder)
    assert dry.returncode == 0, dry.stderr
    assert "96 x predictions larger than their scores need" in dry.stdout
    assert size() == large
    done = cli("clean", "--predictions", "--json", "--results", folder)
    assert done.returncode == 0, done.stderr
    saved = sum(each["size"] for each in json.loads(done.stdout)["leftovers"] if each["path"].endswith(".npz"))
    assert size() == large - saved < large / 2
    assert explained() == before
    assert "larger than" not in cli("clean", "--predictions", "--results", folder).stdout


def test_predictions_stay_until_all_folds_have_chosen_their_epoch(
    make_request: Callable[..., TrialRequest], tmp_path: Path
) -> None:
    """The official code chooses one epoch for all folds: the missing fold may still change it."""
    store = ResultStore(tmp_path / "out")
    done, missing = (make_request(folds=[fold], protocol="reference") for fold in (1, 2))
    arrays = {
        "classes": np.array(["a", "b"]), "epochs": np.array([1, 2]), "clips_test": np.array(["x", "y"]),
        "targets_test": np.eye(2), "observed_test": np.ones((2, 2)), "logits_test": np.array([np.eye(2), np.eye(2)]),
    }  # fmt: skip
    store.submit([done, missing])
    store.write(make_record(done, [1.0, 1.0]), arrays)
    assert list(find_large(store)) == []
    store.write(make_record(missing, [1.0, 1.0]), arrays)
    assert {large.path for large in find_large(store)} == {
        store.record_path(request).with_suffix(".npz") for request in (done, missing)
    }
