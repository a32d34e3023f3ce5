"""Resume states now and then: when one is due, and how a thread writes it while training goes on."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.resume import RESUME, ResumeFiles
from benchmark.trial.run import Outcome, Setting, TransientError, attempt_trial
from benchmark.trial.state_saver import HostCopy, StateSaver
from tests.conftest import TINY_RECIPE
from tests.samples import make_cost

Make = Callable[..., TrialRequest]
FULL = OSError(28, "No space left on device")


@pytest.fixture
def files(tmp_path: Path) -> ResumeFiles:
    return ResumeFiles(tmp_path / "state")


def state_of(files: ResumeFiles) -> dict[str, Any]:
    state = files.load("x")
    assert state is not None
    return state


def test_a_state_is_due_when_the_interval_has_passed(files: ResumeFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with StateSaver(files, 60.0, in_background=False) as saver:
        due = []
        for now in (100.0, 159.0, 160.0, 219.0, 221.0):  # noqa: B007
            due.append(saver.is_due)
            if saver.is_due:
                saver.save({"written_by": "x"}, {})
    assert due == [False, False, True, False, True]
    assert not StateSaver(None, 0.0, in_background=False).is_due


def test_a_thread_writes_the_state_as_it_was_while_training_goes_on(
    files: ResumeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, original = threading.Event(), ResumeFiles.save

    def slow(self: ResumeFiles, state: dict[str, Any]) -> None:
        assert go_on.wait(10)
        original(self, state)

    monkeypatch.setattr(ResumeFiles, "save", slow)
    weight, step = torch.ones(3), torch.tensor(1.0)
    with StateSaver(files, 0.0, in_background=True) as saver:
        saver.save({"written_by": "x"}, {"model": {"w": weight}, "groups": [{"step": step, "betas": (0.9, 0.95)}]})
        weight += 1  # the next epoch, before anything is written
        step += 1
        assert not files.last.exists()
        go_on.set()
    state = state_of(files)
    assert torch.equal(state["model"]["w"], torch.ones(3))
    assert state["groups"] == [{"step": torch.tensor(1.0), "betas": (0.9, 0.95)}]


def test_copies_are_made_to_the_same_memory_each_time() -> None:
    copy, tensors = HostCopy(), {"a": torch.zeros(4), "b": [torch.zeros(2, dtype=torch.int64), 7]}
    places = []
    for number in range(3):
        tensors["a"].fill_(number)
        copied, to_wait_for = copy.of(tensors)
        assert to_wait_for is None
        assert torch.equal(copied["a"], tensors["a"])
        assert copied["b"][1] == 7
        places.append((copied["a"].data_ptr(), copied["b"][0].data_ptr()))
    assert len(set(places)) == 1
    assert places[0][0] != tensors["a"].data_ptr()
    grown, _ = copy.of({"a": torch.ones(5), "b": tensors["b"]})  # such as an optimizer's first step
    assert torch.equal(grown["a"], torch.ones(5))


def test_an_error_of_the_thread_is_raised_at_the_next_state_or_at_a_stop(
    files: ResumeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise FULL

    def save_in_background(times: int, error: Exception | None = None, *, stops: bool = False) -> int:
        saved = 0
        with StateSaver(files, 0.0, in_background=True) as saver:
            while saved < times:
                saver.save({}, {})
                saved += 1
                counts.append(saved)
            if stops:
                saver.wait()
            if error:
                raise error
        return saved

    counts: list[int] = []
    monkeypatch.setattr(ResumeFiles, "save", full)
    for times in (1, 2):
        with pytest.raises(OSError, match="No space left"):
            save_in_background(times, stops=True)
    assert counts == [1, 1]  # the second call raises the first one's error
    assert save_in_background(1) == 1  # a trial that has ended needs no state
    with pytest.raises(ZeroDivisionError):  # the reason why the trial ends stays
        save_in_background(1, ZeroDivisionError())


def trial(make: Make, data_root: Path, folder: Path, seconds: float) -> tuple[TrialRequest, Setting]:
    request = make(overrides=[{"source": "test", "values": {**TINY_RECIPE, "epochs": 3}}])
    return request, Setting(
        folder, RunOptions(data_root, resume_seconds=seconds), cost=make_cost(), stop=folder / "stop"
    )


def losses(request: TrialRequest, setting: Setting) -> tuple[list[float | None], int]:
    store = ResultStore(setting.results)
    record = store.read(store.record_path(request))
    return [point.train_loss for point in record.curves], record.profile.resumed_epochs


class Killed(BaseException):
    """As a SIGKILL: nothing catches it."""


def ends_at(epoch: int, action: Callable[[], object]) -> Callable[[Any], None]:
    return lambda progress: action() if progress["epoch"] == epoch else None  # type: ignore[return-value]


def kill() -> None:
    raise Killed


def quiet(_: object) -> None:
    pass


def test_short_epochs_leave_no_state_and_a_stop_does(make_request: Make, data_root: Path, tmp_path: Path) -> None:
    request, setting = trial(make_request, data_root, tmp_path, 60.0)
    with pytest.raises(Killed):
        attempt_trial(request, setting, ends_at(2, kill))
    assert not (tmp_path / RESUME).exists()
    stop = tmp_path / "stop"
    assert attempt_trial(request, setting, ends_at(2, stop.touch)) == Outcome("stopped")
    stop.unlink()
    assert attempt_trial(request, setting, quiet) == Outcome("completed")
    assert losses(request, setting)[1] == 2
    assert not (tmp_path / RESUME / request.id).exists()


def test_a_trial_whose_states_a_thread_writes_goes_on_with_the_same_numbers(
    make_request: Make, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU. A disk that was full is the trial's error, and the next attempt goes on."""
    request, calm = trial(make_request, data_root, tmp_path / "calm", 0.0)
    attempt_trial(request, calm, quiet)

    class InBackground(StateSaver):
        __init__ = functools.partialmethod(StateSaver.__init__, in_background=True)  # type: ignore[assignment]

    monkeypatch.setattr("benchmark.trial.fit.StateSaver", lambda *args, **_: InBackground(*args))
    _, setting = trial(make_request, data_root, tmp_path / "disturbed", 0.0)
    with pytest.raises(Killed):
        attempt_trial(request, setting, ends_at(1, kill))
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(FULL))
        with pytest.raises(TransientError, match="No space left on device"):
            attempt_trial(request, setting, quiet)
    assert attempt_trial(request, setting, quiet) == Outcome("completed")
    assert losses(request, setting) == (losses(request, calm)[0], 1)
    assert not (setting.results / RESUME / request.id).exists()
