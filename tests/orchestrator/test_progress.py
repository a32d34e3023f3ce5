"""What a run shows and stores when Tune reports on its trials."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmark.orchestrator.progress import Progress, clock
from benchmark.orchestrator.run import write_lost_attempt
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.trial.code_digest import code_digest


def trial(name: str, **fields: object) -> SimpleNamespace:
    return SimpleNamespace(**{"trial_id": name, "last_result": {}, "error_file": None, **fields})


@pytest.fixture
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lost() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def progress(shown: io.StringIO, lost: list[tuple[str, str]]) -> Progress:
    labels = {name: f"label of {name}" for name in "abc"}
    return Progress(labels, 2, Console(file=shown, width=200), lambda *told: lost.append(told))


def test_counts_and_lines(progress: Progress, shown: io.StringIO, lost: list[tuple[str, str]]) -> None:
    with progress:
        for name in "ab":
            progress.on_trial_start(0, [], trial(name))
        progress.on_trial_result(
            0, [], trial("a"), {"epoch": 1, "epochs": 2, "metric": "accuracy", "scores": {"test": 0.5}}
        )
        progress.on_trial_complete(0, [], trial("a", last_result={"status": "completed"}))
        failed = {"status": "failed", "error": "ValueError: no"}
        progress.on_trial_complete(0, [], trial("b", last_result=failed))
        assert progress.tally.line().startswith("3/5 done, 1 failed, 0 running")
    assert "failed: label of b: ValueError: no; see attempts/b-*.json" in shown.getvalue()
    assert lost == [("b", "")]  # its process wrote the attempt itself


def test_a_log_shows_epoch_and_score(progress: Progress, shown: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.orchestrator.progress.LINE_EVERY_SECONDS", -1.0)
    result = {"epoch": 1, "epochs": 2, "metric": "accuracy", "scores": {"test": 0.5}}
    with progress:
        for name in "ab":
            progress.on_trial_start(0, [], trial(name))
        progress.on_trial_result(0, [], trial("a"), result)
        progress.on_step_end(0, [])
        monkeypatch.setattr("benchmark.orchestrator.progress.MAX_LINES", 1)
        progress.on_step_end(0, [])
        progress.on_trial_complete(0, [], trial("a", last_result={"status": "completed"}))
    lines = shown.getvalue().splitlines()
    assert lines[1].startswith("  label of a, epoch 1/2, accuracy 50.0 % (test), 0:00:0")
    assert lines[2].startswith("  label of b, starting, 0:00:0")
    assert lines[5] == "  and 1 more running trial"
    assert lines[6].startswith("done: label of a: epoch 1/2, accuracy 50.0 % (test), 0:00:0")


def test_only_trials_that_began_count_as_stopped_and_resumed_ones_say_so(
    progress: Progress, shown: io.StringIO
) -> None:
    result = {"epoch": 3, "epochs": 9, "metric": "accuracy", "scores": {}}
    with progress:
        for name in "ab":
            progress.on_trial_start(0, [], trial(name))
        progress.on_trial_result(0, [], trial("a"), result)
        for name in "ab":
            progress.on_trial_complete(0, [], trial(name, last_result={"status": "stopped"}))
        assert ", 1 stopped, " in progress.tally.line()
    assert "label of a: continued after epoch 2\n" in shown.getvalue()


def test_a_finished_trial_shows_the_score_that_is_reported(progress: Progress, shown: io.StringIO) -> None:
    last = {"epoch": 9, "epochs": 9, "metric": "accuracy", "scores": {"validation": 0.5, "test": 0.25}}
    chosen = {"epoch": 7, "epochs": 9, "rule": "best_on_validation", "metric": "accuracy", "scores": {"test": 0.75}}
    with progress:
        progress.on_trial_start(0, [], trial("a"))
        progress.on_trial_result(0, [], trial("a"), last)
        assert progress._running()[0][2] == "accuracy 50.0 % (validation)"
        ended = {"status": "completed", "reported": chosen}
        progress.on_trial_complete(0, [], trial("a", last_result=ended))
    assert "done: label of a: epoch 7/9 (best on validation), accuracy 75.0 % (test), 0:0" in shown.getvalue()


def test_a_trial_whose_process_died_is_told_with_its_cause(
    progress: Progress, tmp_path: Path, shown: io.StringIO, lost: list[tuple[str, str]]
) -> None:
    (tmp_path / "error.txt").write_text("The actor died: SIGKILL\n")
    with progress:
        progress.on_trial_start(0, [], trial("a"))
        progress.on_trial_error(0, [], trial("a", error_file=str(tmp_path / "error.txt")))
    assert "failed: label of a: its process died" in shown.getvalue()
    [(name, reason)] = lost
    assert (name, reason.splitlines()[0]) == ("a", "The actor died: SIGKILL")


def test_only_the_last_failure_of_a_trial_is_shown(
    progress: Progress, tmp_path: Path, shown: io.StringIO, lost: list[tuple[str, str]]
) -> None:
    transient = "Failure # 1 (occurred at noon)\nTraceback\nbenchmark.trial.run.TransientError: OSError: away\n"
    unsent = "Failure # 2 (occurred at one)\nTraceback\nremote_results.ResultNotSentError: its result: no space\n"
    for name, text in (("a", transient), ("b", transient + unsent), ("c", transient + "Failure # 2\nThe actor died")):
        (tmp_path / name).write_text(text)
        progress.on_trial_error(0, [], trial(name, error_file=str(tmp_path / name)))
    lines = shown.getvalue().splitlines()
    assert lines[0].startswith("failed: label of a: OSError: away; ")
    assert lines[1].startswith("failed: label of b: its result: no space; ")
    assert lines[2].startswith("failed: label of c: its process died; ")
    assert [reason.splitlines()[-1:] for _, reason in lost] == [
        [], ["its result: no space"], ["the process of the trial died"],
    ]  # fmt: skip


def test_the_attempt_of_a_dead_process_is_kept(make_request: Callable[..., TrialRequest], tmp_path: Path) -> None:
    store, request = ResultStore(tmp_path), make_request()
    write_lost_attempt(store, request, "The actor died: SIGKILL\nthe process of the trial died")
    [path] = store.attempts(request.id)
    kept = Attempt.model_validate_json(path.read_bytes())
    assert (kept.status, kept.error, kept.fingerprint) == (
        "failed",
        "the process of the trial died",
        code_digest(request),
    )
    assert "SIGKILL" in kept.traceback


def test_it_survives_the_pickling_that_tune_does(progress: Progress) -> None:
    again = pickle.loads(pickle.dumps(progress))
    assert (again.console, again.live, again.on_failure) == (None, None, None)


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 61, 3723)] == ["0:00:00", "0:01:01", "1:02:03"]
