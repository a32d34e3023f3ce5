"""The results folder: atomic writes, validated records."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.records.schema import SCHEMA_VERSION
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from tests.samples import make_record

Make = Callable[..., TrialRequest]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_have_ordinary_permissions(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_record_reads_back(make_request: Make, tmp_path: Path) -> None:
    store, record = ResultStore(tmp_path), make_record(make_request(), [0.5, 0.75])
    store.write(record, {"logits_test": np.zeros((1, 2, 3), np.float32)})
    path = store.record_path(record.request)
    assert path.relative_to(tmp_path).parts[0] == "trials"
    assert list(store.records()) == [record]
    assert {name: found.is_current for name, found in store.finished().items()} == {record.id: True}
    assert np.load(path.with_suffix(".npz"))["logits_test"].shape == (1, 2, 3)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:100],
        lambda _: "",
        lambda _: "[]",
        lambda _: "{}",
        lambda text: text.replace('"completed"', '"xx"'),
        lambda text: text.replace('"split": "test"', '"split": "exam"'),
    ],
)
def test_a_damaged_record_is_skipped_with_a_warning_and_not_finished(
    make_request: Make, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    store, record = ResultStore(tmp_path), make_record(make_request(), [0.5])
    store.write(record, {})
    path = store.record_path(record.request)
    path.write_text(damage(path.read_text()))
    assert store.finished() == {}
    with pytest.warns(UserWarning, match="damaged record") as caught:
        assert list(store.records()) == []
    assert "\n" not in str(caught[0].message)
    store.write(record, {})  # running the trial again repairs it
    assert list(store.records()) == [record]


def test_a_record_that_the_disk_does_not_give_now_is_not_damaged(
    make_request: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trial must not be trained again, nor a report leave it out."""
    store, record = ResultStore(tmp_path), make_record(make_request(), [0.5])
    store.write(record, {})

    def fails(_: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fails)
        for look in (store.finished, lambda: list(store.records())):
            with pytest.raises(BenchmarkError, match=r"cannot be read now: Input/output error"):
                look()
    assert {name: found.is_current for name, found in store.finished().items()} == {record.id: True}


def test_an_invalid_record_is_not_written(make_request: Make, tmp_path: Path) -> None:
    store, record = ResultStore(tmp_path), make_record(make_request(), [0.5])
    with pytest.raises(ValueError, match="curves"):
        store.write(record.model_copy(update={"curves": []}), {})
    assert list(store.records()) == []


def test_one_trial_has_one_record_under_any_defaults_of_its_method(make_request: Make, tmp_path: Path) -> None:
    store, record = ResultStore(tmp_path), make_record(make_request(methods=["aat_m"]), [0.5])
    store.write(record, {})
    method = record.request.method.model_copy(update={"variant": "aat_m[bottleneck=0.25]"})
    renamed = record.request.model_copy(update={"method": method})
    renamed = TrialRequest.model_validate(renamed.model_dump())
    assert renamed.id == record.id
    store.write(make_record(renamed, [0.75]), {})
    assert [found.curves[0].splits["test"]["accuracy"] for found in store.records()] == [0.75]


def test_a_record_of_a_newer_schema_asks_for_an_update(make_request: Make, tmp_path: Path) -> None:
    store, record = ResultStore(tmp_path), make_record(make_request(), [0.5])
    store.write(record, {})
    path = store.record_path(record.request)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(BenchmarkError, match="newer than this program"):
        list(store.records())


def test_submitted_trials_add_up_over_runs(make_request: Make, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    first, second = make_request(), make_request(methods=["full"])
    for requests in ([first], [first, second], [first]):
        store.submit(requests)
    assert store.submitted() == [first, second]


def test_the_lock_makes_other_writers_wait(tmp_path: Path) -> None:
    entered = threading.Event()

    def second() -> None:
        with ResultStore(tmp_path).lock():
            entered.set()

    with ResultStore(tmp_path).lock():
        other = threading.Thread(target=second)
        other.start()
        assert not entered.wait(0.3)
    assert entered.wait(10)
    other.join()


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no results here"):
        ResultStore(tmp_path).require()


def test_weights_stay_with_their_record(make_request: Make, tmp_path: Path) -> None:
    store, record = ResultStore(tmp_path), make_record(make_request(), [0.5])
    store.write(record, {}, b"weights")
    assert store.weights_path(record.request).read_bytes() == b"weights"
    store.write(record, {})  # run again, without keeping them
    assert not store.weights_path(record.request).exists()


def test_a_record_is_found_by_the_beginning_of_its_id(make_request: Make, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    records = [make_record(make_request(seeds=[seed]), [0.5]) for seed in range(17)]  # two begin with the same digit
    for record in records:
        store.write(record, {})
    assert store.find(records[0].id) == records[0]
    twice = next(digit for digit in "0123456789abcdef" if sum(record.id[0] == digit for record in records) > 1)
    with pytest.raises(BenchmarkError, match=f"'{twice}' begins the ids of "):
        store.find(twice)
    for unknown in ("*", "", "0" * 12, "linear"):
        with pytest.raises(BenchmarkError, match="no finished trial"):
            store.find(unknown)
