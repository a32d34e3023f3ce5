"""Results of machines that do not see the results folder."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.exceptions import ActorUnavailableError, RayTaskError

from benchmark.orchestrator import remote_results
from benchmark.orchestrator.relay_files import DamagedResultError, FileRelay, Files, write_results
from benchmark.orchestrator.remote_results import (
    CollectResults,
    RelayAddress,
    RemoteWorkspace,
    ResultNotSentError,
    call_relay,
)
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.trial.resume import ResumeFiles
from tests.samples import make_record

Make = Callable[..., TrialRequest]
UNAVAILABLE = ActorUnavailableError("The actor is temporarily unavailable", None)


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "here")


@pytest.fixture
def relay(store: ResultStore, tmp_path: Path) -> FileRelay:
    return FileRelay(store.folder, tmp_path / "inbox", tmp_path / "stop")


def result_of(request: TrialRequest, folder: Path) -> Files:
    """Return what the worker of a finished trial sends."""
    there = ResultStore(folder)
    there.write(make_record(request, [0.5]), {"epochs": np.arange(1)})
    path = there.record_path(request)
    return {"record.json": path.read_bytes(), "record.npz": path.with_suffix(".npz").read_bytes(), "log": b"line\n"}


def attempt_of(request: TrialRequest) -> Attempt:
    return Attempt.now(request, "failed", "error", "traceback", "code")


def test_what_a_worker_sent_is_written_like_a_local_result(
    make_request: Make, store: ResultStore, tmp_path: Path
) -> None:
    request, attempt = make_request(), attempt_of(make_request())
    files = {**result_of(request, tmp_path / "there"), "attempt-0": attempt.model_dump_json().encode()}
    write_results(store, request.id, files)
    path = store.record_path(request)
    assert (path.read_bytes(), path.with_suffix(".npz").read_bytes()) == (files["record.json"], files["record.npz"])
    assert store.log_path(request.id).read_bytes() == b"line\n"
    assert [store.read_attempt(found) for found in store.attempts(request.id)] == [attempt]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"record.json": b"{"}, "record.json does not follow the schema"),
        ({"record.json": b"{}"}, "record.json does not follow the schema"),
        ({"record.npz": None}, "no predictions"),
        ({"record.npz": b"PK"}, "no predictions"),
        ({"attempt-0": b"\xff"}, "attempt-0 does not follow the schema"),
        ({"../log": b""}, "unknown name '../log'"),
        ({"record.json/x": b""}, "unknown name 'record.json/x'"),
        ({"..": b""}, "unknown name '..'"),
        ({"attempt-": b""}, "unknown name 'attempt-'"),
    ],
)
def test_a_damaged_result_is_one_line_and_nothing_is_written(
    make_request: Make, store: ResultStore, relay: FileRelay, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    request = make_request()
    files = {**result_of(request, tmp_path / "there"), "attempt-1": attempt_of(request).model_dump_json().encode()}
    files = {name: content for name, content in {**files, **changes}.items() if content is not None}
    with pytest.raises(DamagedResultError, match=reason) as error:
        write_results(store, request.id, files)
    assert "\n" not in str(error.value)
    assert not store.folder.exists()
    if "unknown name" in reason:
        with pytest.raises(DamagedResultError, match=reason):
            relay.put_result(request.id, files)
        assert not (tmp_path / "inbox").exists()


def test_a_result_of_another_trial_is_refused(make_request: Make, store: ResultStore, tmp_path: Path) -> None:
    request, other = make_request(), make_request(seeds=[1])
    with pytest.raises(DamagedResultError, match=f"{other.id}: a result arrived that is of trial {request.id}"):
        write_results(store, other.id, result_of(request, tmp_path / "there"))
    with pytest.raises(DamagedResultError, match="unknown name"):
        write_results(store, "../x", {})
    assert not store.folder.exists()


def test_a_relay_that_was_started_again_has_all_files(make_request: Make, store: ResultStore, tmp_path: Path) -> None:
    def relay() -> FileRelay:
        return FileRelay(store.folder, tmp_path / "inbox", tmp_path / "stop")

    trial_id = make_request().id
    relay().put_result(trial_id, {"log": b"1", "attempt-0": b"2"})
    relay().put_result(trial_id, {"log": b"3"})
    assert relay().result(trial_id) == {"log": b"3"}
    relay().drop_result(trial_id)
    assert relay().result(trial_id) == {}
    assert list((tmp_path / "inbox").iterdir()) == []
    assert not relay().stopping()
    (tmp_path / "stop").touch()
    assert relay().stopping()


def test_any_machine_may_continue_from_a_resume_state(make_request: Make, store: ResultStore, relay: FileRelay) -> None:
    trial_id = make_request().id
    assert relay.resume_state(trial_id) is None
    relay.put_resume_state(trial_id, b"state")
    assert relay.resume_state(trial_id) == b"state"
    assert ResumeFiles.of(store.folder, trial_id).last.read_bytes() == b"state"  # for the driver's machine, too


def test_the_driver_takes_a_result_once(
    make_request: Make, store: ResultStore, relay: FileRelay, tmp_path: Path
) -> None:
    request = make_request()
    relay.put_resume_state(request.id, b"state")
    relay.put_result(request.id, result_of(request, tmp_path / "there"))
    CollectResults(store, relay).on_trial_complete(0, [], SimpleNamespace(trial_id=request.id))
    assert store.has_current(request)
    assert relay.result(request.id) == {}
    assert relay.resume_state(request.id) is None


def answering(monkeypatch: pytest.MonkeyPatch, *answers: object) -> tuple[Any, list[tuple[object, ...]]]:
    """Return a method of an actor that gives these answers in turn, and the list of its calls."""
    import ray

    calls, left = list[tuple[object, ...]](), list(answers)

    def get(_: object) -> object:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(remote_results, "RETRY_SECONDS", 0.0)
    return SimpleNamespace(remote=lambda *args: calls.append(args)), calls


def test_a_relay_that_is_away_for_a_while_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    method, calls = answering(monkeypatch, UNAVAILABLE, UNAVAILABLE, "answer")
    assert call_relay(method, 1) == "answer"
    assert calls == [(1,)] * 3


def test_a_relay_that_stays_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    method, calls = answering(monkeypatch, UNAVAILABLE)
    monkeypatch.setattr(remote_results, "PATIENCE_SECONDS", 0.02)
    with pytest.raises(ActorUnavailableError):
        call_relay(method)
    assert len(calls) > 1


@pytest.fixture
def workspace(make_request: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteWorkspace:
    method, calls = answering(monkeypatch, None)
    handle = SimpleNamespace(
        resume_state=method, put_resume_state=method, put_result=method, stopping=method, calls=calls
    )
    monkeypatch.setattr("ray.get_actor", lambda *_, **__: handle)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return RemoteWorkspace(make_request(), RelayAddress(tmp_path / "here", "actor", "there"))


def test_a_result_that_cannot_be_sent_stays_for_the_next_attempt(
    workspace: RemoteWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = workspace.request
    result_of(request, tmp_path / "there")
    full = RayTaskError("put_result", "traceback\nof many lines", OSError(errno.ENOSPC, "No space left on device"))
    answering(monkeypatch, full)
    with pytest.raises(ResultNotSentError, match=r"did not reach .*: OSError: \[Errno 28\] No space left on device$"):
        workspace.send_result()
    assert workspace.store.has_current(request)
    answering(monkeypatch, None)
    workspace.send_result()
    assert workspace.relay.calls[-1][1].keys() == {"record.json", "record.npz"}
    assert not workspace.store.has_current(request)


def test_an_attempt_of_a_process_that_ended_at_its_deadline_is_sent(workspace: RemoteWorkspace) -> None:
    path = workspace.store.write_attempt(attempt_of(workspace.request))
    again = RemoteWorkspace(workspace.request, RelayAddress(Path("here"), "actor", "there"))
    content = path.read_bytes()
    again.send_result()
    assert again.relay.calls[-1] == (again.request.id, {"attempt-0": content})
    assert not path.exists()


def test_a_wish_to_stop_of_an_earlier_run_is_forgotten(workspace: RemoteWorkspace) -> None:
    workspace.stop.parent.mkdir()
    workspace.stop.touch()
    assert not RemoteWorkspace(workspace.request, RelayAddress(Path("here"), "actor", "there")).stop.exists()


def test_a_resume_state_that_cannot_be_sent_does_not_end_the_trial(
    workspace: RemoteWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, UNAVAILABLE)
    monkeypatch.setattr(remote_results, "PATIENCE_SECONDS", 0.0)
    workspace.after_epoch()


def test_a_resume_state_is_sent_once(workspace: RemoteWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ResumeFiles.of(workspace.store.folder, workspace.request.id)

    def sent() -> list[bytes]:
        workspace.after_epoch()
        states = [args[1] for args in workspace.relay.calls if len(args) == 2]
        workspace.relay.calls.clear()
        return states

    assert sent() == []
    for number in range(2):
        files.save({"number": number})
        assert sent() == [files.last.read_bytes()]
        assert sent() == []
    fetched = SimpleNamespace(content=files.last.read_bytes())
    again = RemoteWorkspace(workspace.request, RelayAddress(Path("here"), "actor", "there"))
    answering(monkeypatch, fetched.content, None)
    again.fetch_resume_state()
    workspace.relay.calls.clear()
    again.after_epoch()
    assert [args for args in workspace.relay.calls if len(args) == 2] == []  # the driver's machine has it


def test_a_worker_that_sees_the_marker_needs_no_workspace(make_request: Make, tmp_path: Path) -> None:
    marker = tmp_path / "here"
    marker.write_text("actor")
    assert RemoteWorkspace.if_needed(make_request(), RelayAddress(marker, "actor", "there")) is None
    assert RemoteWorkspace.if_needed(make_request(), None) is None


def test_the_log_of_a_trial_is_no_reason_to_fail(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmark.orchestrator.trainable import _trial_log

    for path in (Path("/dev/full"), Path("/dev/null/no-folder/x.log")):
        with _trial_log(path, "label") as write_line:
            write_line("epoch 1")
            print("x" * 2 * io.DEFAULT_BUFFER_SIZE, flush=True)
    assert capsys.readouterr().out == ""
