"""Leftovers of a results folder, with the folder names of this and of earlier versions."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.records.leftovers import find_leftovers
from benchmark.records.process import ProcessIdentity
from benchmark.records.store import RESUME, ResultStore
from benchmark.spec.request import TrialRequest
from tests.samples import make_record


@pytest.fixture
def trials(make_request: Callable[..., TrialRequest]) -> tuple[TrialRequest, TrialRequest]:
    """A trial that finished, and one that did not."""
    return make_request(), make_request(seeds=[1])


@pytest.fixture
def store(trials: tuple[TrialRequest, TrialRequest], tmp_path: Path) -> ResultStore:
    """A results folder with both trials submitted and one record."""
    store = ResultStore(tmp_path / "out")
    store.submit(trials)
    store.write(make_record(trials[0], [0.5]), {})
    return store


@pytest.mark.parametrize("name", [RESUME, "checkpoints"])
def test_resume_states_of_unfinished_trials_stay(
    store: ResultStore, trials: tuple[TrialRequest, TrialRequest], name: str
) -> None:
    for trial_id in (trials[0].id, trials[1].id, "0123456789ab"):
        (store.folder / name / trial_id).mkdir(parents=True)
        (store.folder / name / trial_id / "last.ckpt").write_bytes(b"1234")
    leftovers = find_leftovers(store)
    assert {(leftover.path.name, leftover.reason) for leftover in leftovers} == {
        (trials[0].id, "resume state of a finished trial"),
        ("0123456789ab", "resume state of a trial that was not submitted"),
    }
    assert {leftover.size for leftover in leftovers} == {4}
    for leftover in leftovers:
        leftover.remove()
    assert [path.name for path in (store.folder / name).iterdir()] == [trials[1].id]


@pytest.mark.parametrize("name", ["leases", "claims"])
def test_leases_of_dead_runs_go_and_running_trials_are_an_error(store: ResultStore, name: str) -> None:
    path = store.folder / name / "0123456789ab.json"
    path.parent.mkdir()
    this_process = asdict(ProcessIdentity.this())
    path.write_text(json.dumps({"token": "x", **this_process}))
    with pytest.raises(BenchmarkError, match="running here: 1 trial;"):
        find_leftovers(store)
    path.write_text(json.dumps({"token": "x", **this_process, "started": 0}))
    [leftover] = find_leftovers(store)
    assert (leftover.path, leftover.reason) == (path, "lease of a dead run")
    leftover.remove()
    assert not path.parent.exists()


def test_a_damaged_record_is_logged_and_its_trial_not_finished(
    store: ResultStore, trials: tuple[TrialRequest, TrialRequest], caplog: pytest.LogCaptureFixture
) -> None:
    store.record_path(trials[0]).write_text("{")
    with caplog.at_level(logging.INFO, logger="benchmark"):
        assert store.finished() == {}
    assert "damaged record" in caplog.text
