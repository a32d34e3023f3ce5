"""Ray's private parts behave as our changes to them expect."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import ActorUnavailableError, RayActorError
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from benchmark.orchestrator.loggers import TensorBoard
from benchmark.orchestrator.ray_compat import recover_trials_of_lost_actors


class FakeTrial:
    """What `TuneController._process_trial_failure` uses of a trial."""

    def __init__(self, name: str, max_failures: int) -> None:
        self.trial_id, self.max_failures = name, max_failures
        self.status, self.failures = Trial.PENDING, 0

    def handle_error(self, _: Exception) -> None:
        self.failures += 1

    def should_recover(self) -> bool:
        return self.failures <= self.max_failures


class Controller(TuneController):
    """Tune's controller with nothing but what handles failures."""

    def __init__(self) -> None:
        self._fail_fast, self._print_trial_errors, self._iteration = False, False, 0
        self._trials: list[Any] = []
        self._resetting_trials: set[Any] = set()
        ignore = SimpleNamespace(
            on_trial_error=lambda *_, **__: None,
            on_trial_complete=lambda *_, **__: None,
            on_trial_recover=lambda *_, **__: None,
        )
        self._callbacks = self._search_alg = self._scheduler_alg = ignore

    def fails_to_start(self, trial: FakeTrial, error: Exception) -> None:
        """Do what `_actor_failed` does for a trial that waits for its actor."""
        self._resetting_trials.add(trial)  # by `_schedule_trial_reset` for a reused actor
        trial.status = Trial.RUNNING
        self._trial_task_failure(trial, exception=error)

    def _try_recover(self, trial: FakeTrial, exc: Exception) -> None:
        trial.status = Trial.PENDING

    def _schedule_trial_stop(self, trial: FakeTrial, exception: Exception | None = None) -> None:
        trial.status = Trial.ERROR


def lose_machine(controller: Controller, trial: FakeTrial, error: Exception) -> None:
    """Let Ray's own manager report a lost actor to Tune, as for a trial on a reused actor."""
    actor = SimpleNamespace(actor_id=1, _on_error=lambda _, error: controller.fails_to_start(trial, error))
    task = SimpleNamespace(
        _tracked_actor=actor, _on_error=lambda _, error: controller._trial_task_failure(trial, exception=error)
    )
    manager = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda **_: None)
    RayActorManager._actor_task_failed(manager, task, error)


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TuneController, "_process_trial_failure", TuneController._process_trial_failure)
    recover_trials_of_lost_actors()
    recover_trials_of_lost_actors()  # a second call changes nothing


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("error", [ActorUnavailableError("the machine is gone", None), RayActorError()])
def test_a_lost_machine_is_one_failure_and_the_trial_goes_on(error: RayActorError) -> None:
    controller, trial = Controller(), FakeTrial("a", max_failures=2)
    lose_machine(controller, trial, error)
    assert (trial.failures, trial.status) == (1, Trial.PENDING)
    assert not controller._resetting_trials  # else it would wait for ever


@pytest.mark.usefixtures("patched")
def test_further_errors_and_other_trials_are_counted() -> None:
    controller, first, second = Controller(), FakeTrial("a", max_failures=1), FakeTrial("b", max_failures=1)
    error = RayActorError()
    for trial in (first, second):  # trials of one machine may get one error object
        lose_machine(controller, trial, error)
    lose_machine(controller, first, RayActorError())
    assert (first.failures, first.status) == (2, Trial.ERROR)
    assert (second.failures, second.status) == (1, Trial.PENDING)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_curves_that_cannot_be_written_are_an_error_and_no_endless_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    trial: Any = FakeTrial("a", 0)
    curves = TensorBoard(tmp_path, {"a": "label"})
    curves.log_trial_start(trial)
    events = curves._trial_writer[trial].file_writer.event_writer
    monkeypatch.setattr(events._ev_writer, "write_event", full)
    monkeypatch.setattr(events._ev_writer, "flush", full)
    many = {f"value{number}": 1.0 for number in range(30)}  # more than the usual queue takes
    with pytest.raises(OSError, match="No space left"):
        curves.log_trial_result(1, trial, {**many, "training_iteration": 1})
    events._worker.join(timeout=10)
    with pytest.raises(OSError, match="curves for TensorBoard cannot be written"):
        curves.log_trial_result(2, trial, {"value": 1.0, "training_iteration": 2})
    with pytest.raises(OSError, match="No space left"):
        curves.log_trial_end(trial)
    events.close()  # as when Python ends
