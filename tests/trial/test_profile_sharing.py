"""`profile --sharing`: several processes train at the same time, and none is left."""

from __future__ import annotations

import json
import pickle
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from benchmark.errors import BenchmarkError
from benchmark.planning import node as machines
from benchmark.planning.node import Node
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.trial import profile_sharing as room
from benchmark.trial.profile_sharing import Fault, Together, measure_sharing
from benchmark.trial.profile_sharing_worker import clips_per_second
from benchmark.trial.random_step import random_step
from tests.conftest import Cli

TINY = ["--set", "recipe.batch_size=4", "--set", "recipe.frames=64"]
GIB = 2**30


def together(*numbers: int) -> Together:
    return Together("cpu", 4, numbers, 0.0, compiled=False, checkpointing=False, mps=False, variables={})


def test_one_alone_is_measured_from_the_command_line(cli: Cli, tmp_path: Path) -> None:
    options = ["--grid", "smoke", "--method", "linear", "--results", tmp_path, "--threads", "1", "--seconds", "0"]
    done = cli("profile", *options, *TINY, "--sharing", "1,2", "--json")
    assert done.returncode == 0, done.stderr
    assert "2 at once not measured: there are fewer CPU cores" in done.stderr
    [found] = json.loads(done.stdout)
    assert list(found["clips_per_second"]) == ["1"]
    assert found["clips_per_second"]["1"] > 0
    assert (found["request"]["dataset"]["name"], found["request"]["method"]["variant"]) == (
        "speech_commands_v2",
        "linear",
    )
    store = ResultStore(tmp_path)
    [kept] = store.sharing()
    assert kept.model_dump(mode="json") == found
    assert (list(store.profiles()), kept.mps, kept.threads) == ([], False, 1)


@pytest.mark.slow
def test_two_are_measured_at_the_same_time(make_request: Callable[..., TrialRequest]) -> None:
    found = measure_sharing(make_request(), together(1, 2), None)
    assert list(found.clips_per_second) == [1, 2]
    assert all(value > 0 for value in found.clips_per_second.values())
    assert (found.error, found.threads, found.environment["compilation"]) == (None, 4, "eager")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sharing", "5"], "--sharing 5: expected some of 1, 2, 3, 4, 6, 8"),
        (["--sharing", "two"], "--sharing two: expected some of"),
        (["--sharing", "2", "--steps", "3"], "--steps 3: trials that share a device are measured by time"),
        (["--sharing", "2", "--mps", "--device", "cpu"], "--mps: MPS shares a GPU"),
        (["--mps"], "--mps: it is for the measurement of trials that share a GPU; add --sharing"),
    ],
)
def test_mistakes_are_one_line(cli: Cli, tmp_path: Path, options: list[str], message: str) -> None:
    done = cli("profile", "--grid", "smoke", "--results", tmp_path, *options)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {message}")


Answers = list[list[object]]  # what each process answers, after its start


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Answers], list]]:
    """Return a function that replaces the processes by small ones with given answers, and lists those it started."""
    started: list[subprocess.Popen[bytes]] = []

    def replace(answers: Answers) -> list[subprocess.Popen[bytes]]:
        def start(*_: object) -> subprocess.Popen[bytes]:
            path = tmp_path / str(len(started))
            contents = answers[len(started)]
            path.write_bytes(b"".join(map(pickle.dumps, [content for content in contents if content != "killed"])))
            script = f"cat {path}; {'kill -9 $$' if 'killed' in contents else 'exec sleep 60'}"
            started.append(subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            return started[-1]

        monkeypatch.setattr(room, "start_child", start)
        return started

    yield replace
    assert all(process.poll() is not None for process in started)  # none is left


def test_the_clips_of_all_are_summed(
    make_request: Callable[..., TrialRequest], processes: Callable[[Answers], list]
) -> None:
    processes([["compiled", 100.0, 60.0, 40.0], ["compiled", 70.0, 45.0], ["compiled", 50.0], ["compiled", 55.0]])
    found = measure_sharing(make_request(), together(1, 2, 4), None)
    assert found.clips_per_second == {1: 100.0, 2: 130.0, 4: 190.0}
    assert found.environment["compilation"] == "compiled"


@pytest.mark.parametrize(
    ("last", "error"),
    [
        ([Fault("OutOfMemoryError: no room", out_of_memory=True)], "2 at once: out of memory (OutOfMemoryError: no"),
        (["eager", Fault("cuBLAS", out_of_memory=True)], "2 at once: out of memory (cuBLAS)"),
        (["killed"], "2 at once: a process was killed"),
        (["eager", "killed"], "2 at once: a process was killed"),
    ],
)
def test_what_the_memory_does_not_hold_ends_the_measurement(
    make_request: Callable[..., TrialRequest], processes: Callable[[Answers], list], last: list[object], error: str
) -> None:
    started = processes([["eager", 100.0, 50.0], last])
    found = measure_sharing(make_request(), together(1, 2, 4), None)
    assert found.clips_per_second == {1: 100.0}
    assert found.error is not None
    assert found.error.startswith(error)
    assert len(started) == 2


def test_a_fault_or_an_interrupt_leaves_no_process(
    make_request: Callable[..., TrialRequest],
    processes: Callable[[Answers], list],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = make_request()
    processes([[Fault("no", out_of_memory=True)], [Fault("bad", out_of_memory=False)], ["eager"]])
    with pytest.raises(BenchmarkError, match="1 at once: out of memory"):
        measure_sharing(request, together(1, 2), None)
    with pytest.raises(BenchmarkError, match=f"{request.method.variant} f1 s0: bad"):
        measure_sharing(request, together(1, 2), None)

    def interrupt(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "_burst", interrupt)
    with pytest.raises(KeyboardInterrupt):
        measure_sharing(request, together(1, 2), None)


def test_a_burst_counts_the_clips_it_trains(make_request: Callable[..., TrialRequest]) -> None:
    trainer, batch = random_step(make_request(), torch.device("cpu"), compiled=False)
    assert len(batch[0]) == 8
    for _ in range(2):
        assert clips_per_second(trainer, batch, 0.0) > 0
    assert trainer.schedule.steps == 2
    features, targets, observed = batch
    with pytest.raises(BenchmarkError, match="not finite"):
        clips_per_second(trainer, (features * float("nan"), targets, observed), 0.0)


def test_numbers_that_the_host_memory_does_not_hold_are_not_measured(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []

    def measured(request: TrialRequest, how: Together, cost: object) -> object:
        asked.append(list(how.numbers))
        raise BenchmarkError("that is enough")

    monkeypatch.setattr(machines, "node_here", lambda: Node(8, 0, memory=2 * GIB))
    monkeypatch.setattr(room, "measure_sharing", measured)
    done = cli("profile", "--grid", "smoke", "--device", "cpu", "--results", tmp_path, "--sharing", "8,2,6,1")
    assert "6, 8 at once not measured: the host memory is too small" in done.stdout
    assert asked == [[1, 2]]
