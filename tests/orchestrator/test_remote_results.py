"""Results of machines that do not see the results folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from benchmark.orchestrator.remote_results import FileRelay, RelayAddress, RemoteWorkspace, write_results
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from tests.samples import make_record


def test_what_a_worker_sent_is_written_like_a_local_result(
    make_request: Callable[..., TrialRequest], tmp_path: Path
) -> None:
    request, there, here = make_request(), ResultStore(tmp_path / "there"), ResultStore(tmp_path / "here")
    there.write(make_record(request, [0.5]), {"epochs": np.arange(1)})
    path = there.record_path(request)
    files = {"record.json": path.read_bytes(), "record.npz": path.with_suffix(".npz").read_bytes(), "log": b"line\n"}
    attempt = Attempt.now(request, "failed", "error", "traceback", "code")
    files["attempt-0"] = attempt.model_dump_json().encode()
    write_results(here, request.id, files)
    assert here.read(here.record_path(request)) == there.read(path)
    assert here.record_path(request).with_suffix(".npz").read_bytes() == files["record.npz"]
    assert here.log_path(request.id).read_bytes() == b"line\n"
    assert [here.read_attempt(found) for found in here.attempts(request.id)] == [attempt]


def test_a_record_that_arrives_damaged_is_refused(make_request: Callable[..., TrialRequest], tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    with pytest.raises(ValidationError):
        write_results(store, make_request().id, {"record.json": b"{}", "record.npz": b""})
    assert not store.finished()


def test_the_relay_stores_replaces_and_drops_files() -> None:
    relay = FileRelay()
    try:
        relay.put("resume-a", {"last.state": b"1", "more": b"2"})
        relay.put("resume-a", {"last.state": b"3"})
        assert relay.get("resume-a") == {"last.state": b"3"}
        relay.drop("resume-a")
        assert relay.get("resume-a") == {}
        assert not relay.stopping()
        relay.stop()
        assert relay.stopping()
    finally:
        relay.close()


def test_a_worker_that_sees_the_marker_needs_no_workspace(
    make_request: Callable[..., TrialRequest], tmp_path: Path
) -> None:
    marker = tmp_path / "here"
    marker.write_text("actor")
    assert RemoteWorkspace.if_needed(make_request(), RelayAddress(marker, "actor")) is None
    assert RemoteWorkspace.if_needed(make_request(), None) is None
