"""An error of a callback is shown, and the run goes on."""

from __future__ import annotations

import errno
import io
import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune import Callback
from rich.console import Console

from benchmark.errors import BenchmarkError
from benchmark.orchestrator import run as run_module
from benchmark.orchestrator.guard import HOOKS, Guarded
from benchmark.orchestrator.interrupt import Stop
from benchmark.orchestrator.progress import Progress
from benchmark.orchestrator.relay_files import DamagedResultError, FileRelay
from benchmark.orchestrator.remote_results import CollectResults
from benchmark.orchestrator.run import _Run
from benchmark.orchestrator.tune_queue import run_queue
from benchmark.planning.plan import MAX_ATTEMPTS
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest

Make = Callable[..., TrialRequest]
FULL = OSError(errno.ENOSPC, "No space left on device")
COMPLETED = {"status": "completed"}


class Broken(Callback):
    """A callback whose every hook fails."""


def _fail(*_: object, **__: object) -> None:
    raise FULL


for _hook in HOOKS:
    setattr(Broken, _hook, _fail)


def test_every_hook_of_tune_is_guarded() -> None:
    told = list[tuple[str | None, str]]()
    guarded = Guarded(Broken(), lambda *what: told.append(what))
    for hook in HOOKS:
        getattr(guarded, hook)(trial=SimpleNamespace(trial_id="a"))
    guarded.on_step_end(iteration=1, trials=[])
    line = "OSError: [Errno 28] No space left on device"
    assert told == [("a", line)] * len(HOOKS) + [(None, line)]
    assert {"setup", "on_trial_result", "on_trial_complete", "on_trial_error", "on_step_end"} <= set(HOOKS)


def test_it_survives_the_pickling_that_tune_does() -> None:
    guarded = Guarded(Callback(), lambda *_: None)
    again = pickle.loads(pickle.dumps(guarded))
    assert again.on_error is None
    Guarded(Broken(), again.on_error).on_step_end()


class Scene:
    """A run of some trials whose Tune is played by the test."""

    def __init__(self, requests: Sequence[TrialRequest], folder: Path) -> None:
        self.requests, self.shown = requests, io.StringIO()
        self.store, console = ResultStore(folder / "out"), Console(file=self.shown, width=200)
        self.relay = FileRelay(self.store.folder, folder / "inbox", folder / "stop")
        options, stop = RunOptions(folder, None), Stop(folder, console)
        self.run = _Run(requests, {}, self.store, options, 0, console, folder / "scratch", stop)
        self.run._seconds = lambda _: 1.0  # type: ignore[method-assign]

    def round(self, monkeypatch: pytest.MonkeyPatch, play: Callable[[Any, TrialRequest], None]) -> tuple[Any, Any]:
        """Run a round in which `play` calls the callbacks for each trial, in Tune's order."""

        def run_queue(trials: list[str], callbacks: list[Callback], *_: object, **__: object) -> None:
            for trial in trials:
                request = next(request for request in self.requests if request.id == trial)
                for callback in callbacks:
                    play(callback, request)

        monkeypatch.setattr("benchmark.orchestrator.tune_queue.run_queue", run_queue)
        queue: Any = {request.id: request.id for request in self.requests}
        return self.run._round(0, self.requests, queue, [CollectResults(self.store, self.relay)])


def complete(callback: Any, request: TrialRequest) -> None:
    callback.on_trial_complete(
        iteration=0, trials=[], trial=SimpleNamespace(trial_id=request.id, last_result=COMPLETED)
    )


@pytest.fixture
def scene(make_request: Make, tmp_path: Path) -> Scene:
    return Scene([make_request(), make_request(seeds=[1])], tmp_path)


def test_a_damaged_result_fails_its_trial_with_one_line(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = scene.requests[0]
    scene.relay.put_result(damaged.id, {"record.json": b"{"})
    _, lost = scene.round(monkeypatch, complete)
    assert lost == [scene.requests[1]]  # nothing came at all
    assert scene.run.failed == 1
    lines = [line for line in scene.shown.getvalue().splitlines() if line.startswith("failed: ")]
    reason = f"{damaged.id}: a damaged result arrived (record.json does not follow the schema); run the trial again"
    assert lines == [f"failed: {damaged.label}: {reason}; see attempts/{damaged.id}-*.json"]
    [path] = scene.store.attempts()
    assert path.name == f"{damaged.id}-1.json"


@pytest.mark.parametrize("error", [FULL, DamagedResultError("damaged")])
def test_a_full_disk_of_the_driver_fails_trials_and_not_the_run(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object) -> None:
        raise error

    def no_space(*_: object) -> None:
        raise FULL

    monkeypatch.setattr("benchmark.orchestrator.remote_results.write_results", full)
    monkeypatch.setattr(ResultStore, "write_attempt", no_space)
    assert scene.round(monkeypatch, complete) == ([], [])
    assert scene.run.failed == 2
    text = scene.shown.getvalue()
    assert text.count("failed: ") == 2
    assert "0/2 done, 2 failed, 0 running" in text
    assert "its failed attempt was not written: [Errno 28] No space left on device" in text


def test_a_lost_record_is_run_again_and_ends_as_a_failed_attempt(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = Counter[str]()

    def played(self: _Run, number: int, waiting: Sequence[TrialRequest], *_: object) -> tuple[list, list]:
        rounds.update(request.id for request in waiting)
        return [], [scene.requests[0]]

    monkeypatch.setattr(_Run, "_divide", lambda *_: {})
    monkeypatch.setattr(_Run, "_queue", lambda *_: {})
    monkeypatch.setattr(_Run, "_round", played)
    scene.run.train([])
    first, second = scene.requests
    assert rounds == {first.id: MAX_ATTEMPTS, second.id: 1}
    assert scene.run.failed == 1
    [path] = scene.store.attempts()
    kept = scene.store.read_attempt(path)
    assert kept is not None
    assert kept.error == "its record was lost 3 times on the way to the results folder"


def test_what_failed_in_an_earlier_round_does_not_count_as_done(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.run.failed, scene.run.done = 1, 3
    scene.round(monkeypatch, complete)
    assert "3/6 done, 1 failed, 0 running" in scene.shown.getvalue()


def test_a_full_disk_is_one_line_of_the_run(
    make_request: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise FULL

    monkeypatch.setattr(_Run, "run", full)
    with pytest.raises(BenchmarkError, match=r"the run ended: .*No space left.*; make room and call run again"):
        run_module.run_trials(
            [make_request()], {}, ResultStore(tmp_path), RunOptions(tmp_path, None), before=0, console=Console()
        )


@pytest.mark.parametrize("error", [EOFError("Ran out of input"), pickle.UnpicklingError("pickle data was truncated")])
def test_files_of_tune_that_a_full_disk_cut_off_end_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Typer would show EOFError as "Aborted"."""

    def fit(_: object) -> None:
        raise error

    monkeypatch.setattr("ray.tune.Tuner.__init__", lambda *_, **__: None)
    monkeypatch.setattr("ray.tune.Tuner.fit", fit)
    run_queue([], [], tmp_path, lambda: False, fresh_processes=False)


def test_an_error_of_a_logger_is_shown_once(tmp_path: Path) -> None:
    shown = io.StringIO()
    progress = Progress({"a": "label"}, 0, Console(file=shown, width=200), lambda *_: None)
    guarded = Guarded(Broken(), progress.warn)
    for _ in range(3):
        guarded.on_trial_result(trial=SimpleNamespace(trial_id="a"))
    assert shown.getvalue() == "label: OSError: [Errno 28] No space left on device\n"
