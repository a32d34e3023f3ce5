"""Joining results folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.records.floor import read_floors, write_floor
from benchmark.records.merge import merge
from benchmark.records.schema import SCHEMA_VERSION, Attempt, Record
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from tests.conftest import Cli
from tests.samples import make_floor, make_record, make_sharing


@pytest.fixture
def folders(make_request: Callable[..., TrialRequest], tmp_path: Path) -> list[Path]:
    """Two folders that share a trial with equal, and one with different results."""
    stores = [ResultStore(tmp_path / name) for name in "ab"]
    for number, store in enumerate(stores):
        shared, different, single = (make_request(seeds=[seed]) for seed in (0, 1, 2 + number))
        store.submit([shared, different, single])
        store.write(make_record(shared, [0.5], started=f"2026-01-0{number + 1}"), {"x": np.ones(1)})
        store.write(make_record(different, [0.5 + 0.1 * number]), {})
        store.write(make_record(single, [0.5]), {})
        store.write_attempt(Attempt.now(single, "failed", "no", "no", "code"))
        write_floor(store.folder, make_floor(shared, chance=0.02))
        store.write_sharing(make_sharing(shared, {1: 100.0, 2: 150.0}))
    return [store.folder for store in stores]


def test_different_results_are_both_kept_and_reported(folders: list[Path], tmp_path: Path, cli: Cli) -> None:
    target = tmp_path / "all"
    done = cli("merge", *folders, "--results", target)
    assert done.returncode == 3, done.stderr
    assert "4 were there" not in done.stdout
    assert "different: " in done.stdout
    assert "50.00 % at the last epoch here, 60.00 % at the last epoch in" in done.stdout
    store = ResultStore(target)
    assert len(list(store.records())) == 4
    assert len(store.submitted()) == 4
    assert len(store.attempts()) == 2
    assert len(list((target / "conflicts").rglob("*.json"))) == 1
    assert [floor.scores for floor in read_floors(target).values()] == [{"chance": 0.02}]
    assert [profile.clips_per_second for profile in store.sharing()] == [{1: 100.0, 2: 150.0}]
    again = cli("merge", folders[0], "--results", target)
    assert again.returncode == 0, again.stdout
    assert "0 records added, 3 were there already" in again.stdout
    assert len(store.attempts()) == 2


def test_kept_weights_are_merged_too(folders: list[Path], tmp_path: Path, cli: Cli) -> None:
    for number, folder in enumerate(folders):
        for record in ResultStore(folder).records():
            if number or record.request.seed:  # the first folder's trial with equal results kept none
                ResultStore(folder).weights_path(record.request).write_bytes(b"%d" % number)
    assert cli("merge", *folders, "--results", tmp_path / "all").returncode == 3
    target = ResultStore(tmp_path / "all")
    kept = {record.request.seed: target.weights_path(record.request).read_bytes() for record in target.records()}
    assert kept == {0: b"1", 1: b"0", 2: b"0", 3: b"1"}
    [conflict] = (target.folder / "conflicts").rglob("*.safetensors")
    assert conflict.read_bytes() == b"1"


def test_a_source_without_results_is_an_error(tmp_path: Path, cli: Cli) -> None:
    done = cli("merge", tmp_path, "--results", tmp_path / "all")
    assert done.returncode == 2
    assert "no results here" in done.stderr


def test_records_of_every_older_schema_version_still_load() -> None:
    """Load one sample of each version, as the suite of that time wrote it; samples are never changed."""
    samples = sorted((Path(__file__).parent / "old").glob("v*.json"))
    assert [path.stem for path in samples] == [f"v{version}" for version in range(1, SCHEMA_VERSION)]
    for path in samples:
        record = Record.model_validate_json(path.read_bytes())
        assert record.schema_version == int(path.stem[1:])
        assert record.request.id == record.id
        assert record.curves


def test_records_with_and_without_scores_of_all_epochs_are_equal(
    make_request: Callable[..., TrialRequest], tmp_path: Path
) -> None:
    """A schema before 7, or `--test-curves`, has the test split after every epoch."""
    record = make_record(make_request(protocol="corrected"), [0.9, 0.5])
    content = record.model_dump()
    content["curves"][0]["splits"] = {}
    ResultStore(tmp_path / "complete").write(record, {})
    ResultStore(tmp_path / "needed").write(Record.model_validate(content), {})
    found = merge([tmp_path / "complete", tmp_path / "needed"], tmp_path / "all")
    assert (found.records, found.equal, found.gaps) == (1, 1, [])
