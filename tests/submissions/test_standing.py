"""Standings of cells: who reported what, and whether somebody else found the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.records.schema import Record
from benchmark.spec.request import TrialRequest, changed
from benchmark.submissions.layout import Store, Submission, provenance_marks
from benchmark.submissions.standing import COLUMNS, standings
from tests.samples import make_record, make_results

Put = Callable[..., Submission]
Request = Callable[..., TrialRequest]
FOLDS = range(1, 6)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "store.json").write_text('{"store_version": 1, "name": "a store"}')
    return Store(tmp_path / "store")


@pytest.fixture
def put(store: Store) -> Put:
    """Return a function that puts records into the store, without a check."""

    def submit(submitter: str, records: Iterable[Record], name: str = "one", day: int = 1) -> Submission:
        submission = Submission(
            submitter=submitter,
            name=name,
            submitted=f"2026-02-{day:02d}T00:00:00+00:00",
            release="1.0",
            licence="CC-BY-4.0",
            files={},
        )
        folder = store.folder / submission.path
        make_results(folder, records)
        (folder / "submission.json").write_text(submission.model_dump_json())
        return submission

    return submit


def cell(make_request: Request, scores: Mapping[int, float], folds: Iterable[int] = FOLDS) -> list[Record]:
    """Return the records of one cell, of each fold and of the seeds in `scores`."""
    request = make_request(protocol="corrected")
    of_cell = [(changed(request, fold=fold, seed=seed), score) for seed, score in scores.items() for fold in folds]
    return [make_record(trial, [score]) for trial, score in of_cell]


def standing_of(store: Store) -> dict[str, str]:
    rows = standings(store)
    assert list(rows) == list(COLUMNS)
    assert rows["cell"].nunique() == 1
    return dict(zip(rows["submitter"], rows["standing"], strict=True))


def test_records_are_read_with_their_submission_and_path(store: Store, put: Put, make_request: Request) -> None:
    submission = put("ada", cell(make_request, {0: 0.8}))
    stored = list(store.records())
    assert len(stored) == 5
    assert {one.submission.submitter for one in stored} == {"ada"}
    for one in stored:
        assert json.loads((store.folder / one.path).read_bytes())["id"] == one.record.id
    assert store.submissions() == [submission]


def test_what_is_not_known_of_a_record_is_marked(store: Store, put: Put, make_request: Request) -> None:
    records = cell(make_request, {0: 0.8})
    put("ada", [one.model_copy(update={"environment": {"suite": {"dirty": True}}}) for one in records])
    record = next(store.records()).record
    marks = [*record.marks, *provenance_marks(record)]
    assert {"data not verified", "code with uncommitted changes", "random weights"} <= set(marks)


def test_one_submitter_is_self_reported(store: Store, put: Put, make_request: Request) -> None:
    put("ada", cell(make_request, {0: 0.8, 1: 0.82}))
    [row] = standings(store).to_dict("records")
    assert row["standing"] == "self-reported"
    assert row["score"] == pytest.approx(0.81)
    assert row["sd"] == pytest.approx(0.02 / 2**0.5)
    assert (row["folds"], row["seeds"], row["complete"]) == ("1 2 3 4 5", "0 1", True)
    assert np.isnan(row["gap"])


def test_seeds_of_one_submitter_in_two_submissions_are_joined(store: Store, put: Put, make_request: Request) -> None:
    put("ada", cell(make_request, {0: 0.8}), "one", day=1)
    put("ada", cell(make_request, {1: 0.82}), "two", day=2)
    [row] = standings(store).to_dict("records")
    assert (row["seeds"], row["submission"], row["standing"]) == ("0 1", "one two", "self-reported")


def test_another_submitter_with_about_the_same_score_reproduces(store: Store, put: Put, make_request: Request) -> None:
    put("bob", cell(make_request, {3: 0.805, 4: 0.815}), day=2)
    put("ada", cell(make_request, {0: 0.8, 1: 0.82}), day=1)
    assert standing_of(store) == {"ada": "reproduced", "bob": "reproduced"}
    first, second = standings(store).to_dict("records")
    assert first["submitter"] == "ada"  # the first to submit, whatever the names
    assert np.isnan(first["gap"])
    assert second["gap"] == pytest.approx(0.0)
    assert 0 < second["tolerance"] < 0.1


def test_another_submitter_with_another_score_disputes(store: Store, put: Put, make_request: Request) -> None:
    put("ada", cell(make_request, {0: 0.9, 1: 0.91}), day=1)
    put("bob", cell(make_request, {0: 0.8, 1: 0.81}), day=2)
    assert standing_of(store) == {"ada": "disputed", "bob": "disputed"}
    put("eve", cell(make_request, {5: 0.805, 6: 0.8}), day=3)
    assert standing_of(store) == {"ada": "disputed", "bob": "reproduced", "eve": "reproduced"}


def test_other_folds_are_no_reproduction(store: Store, put: Put, make_request: Request) -> None:
    (store.folder / "store.json").write_text('{"store_version": 1, "name": "a store", "accepts": ["partial"]}')
    store = Store(store.folder)
    put("ada", cell(make_request, {0: 0.8}), day=1)
    put("bob", cell(make_request, {0: 0.8}, folds=[1, 2]), day=2)
    assert standing_of(store) == {"ada": "self-reported", "bob": "self-reported"}


def test_a_missing_fold_is_incomplete(store: Store, put: Put, make_request: Request) -> None:
    put("ada", cell(make_request, {0: 0.8}))
    put("bob", cell(make_request, {0: 0.8}, folds=[1, 2, 3, 4]))
    put("eve", cell(make_request, {0: 0.8, 1: 0.8})[:-1])
    assert standing_of(store) == {"ada": "self-reported", "bob": "incomplete", "eve": "incomplete"}


def test_a_folder_without_a_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="not a results store"):
        Store(tmp_path)


def test_a_newer_store_is_named(store: Store) -> None:
    (store.folder / "store.json").write_text('{"store_version": 2, "name": "a store", "colour": "red"}')
    with pytest.raises(BenchmarkError, match="version 2 is newer"):
        Store(store.folder)


def test_a_submission_in_the_folder_of_another_is_named(store: Store, put: Put, make_request: Request) -> None:
    submission = put("ada", cell(make_request, {0: 0.8}))
    (store.folder / "submissions" / "bob").mkdir()
    (store.folder / submission.path).rename(store.folder / "submissions" / "bob" / "one")
    with pytest.raises(BenchmarkError, match="is the submission submissions/ada/one"):
        store.submissions()
