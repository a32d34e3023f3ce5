"""Stopping a run, and the death of Ray's daemons."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import ray
from rich.console import Console

from benchmark.errors import BenchmarkError
from benchmark.orchestrator import ray_watchdog
from benchmark.orchestrator.interrupt import Stop
from benchmark.orchestrator.ray_session import DeadWhileStartingError
from benchmark.orchestrator.ray_watchdog import watchdog, watched_ray
from benchmark.planning.node import Node

# The server of data workers has the search path in its command line, and Ray adds a folder of its own to that path.
OTHER = [sys.executable, "-c", "import time; time.sleep(60)  # sys_path: ['/site-packages/ray/thirdparty_files']"]
Child = subprocess.Popen[bytes]


@pytest.fixture
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def stop(tmp_path: Path, shown: io.StringIO) -> Stop:
    return Stop(tmp_path, Console(file=shown, width=200))


@pytest.fixture(autouse=True)
def _no_ray() -> None:
    """End the tests' own Ray: what is tested kills all children that look like Ray's. The next run starts it again."""
    ray.shutdown()


@pytest.fixture(autouse=True)
def _look_at_what_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_watchdog, "DAEMONS", ("sleep",))
    monkeypatch.setattr(ray_watchdog, "LOOK_EVERY_SECONDS", 0.05)


@pytest.fixture(autouse=True)
def _ctrl_c_raises() -> Iterator[None]:
    """Processes in the background of a shell ignore the signal of Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def daemon() -> Iterator[Child]:
    """A child that stands for Ray's daemon."""
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def wait_for_ray(daemon: Child, stop: Stop) -> None:
    with stop.on_signals(), watchdog(stop):
        daemon.kill()
        for _ in range(600):
            time.sleep(0.05)
    raise AssertionError("nothing interrupted the wait")


def test_the_first_signal_asks_trials_to_stop_and_the_second_ends_the_run(stop: Stop, shown: io.StringIO) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop.on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
        assert stop.file.exists()
        assert "Stopping after the current epochs. Press Ctrl-C again to stop now." in shown.getvalue()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert not stop.file.exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_while_ray_starts_ends_the_run_at_once(stop: Stop, shown: io.StringIO) -> None:
    with pytest.raises(KeyboardInterrupt), stop.on_signals(at_once=True):
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.asked
    assert shown.getvalue() == "Stopped while Ray was starting; no trial began.\n"


def test_the_death_of_ray_ends_the_call_and_leaves_other_children_alone(daemon: Child, stop: Stop) -> None:
    with subprocess.Popen(OTHER) as other:
        with pytest.raises(BenchmarkError, match="Ray died; call run again: it continues"):
            wait_for_ray(daemon, stop)
        assert other.poll() is None
        other.kill()
    assert not stop.asked


@pytest.mark.parametrize("seconds", [30, 0])
def test_ray_may_die_while_it_starts(
    monkeypatch: pytest.MonkeyPatch, stop: Stop, tmp_path: Path, seconds: float
) -> None:
    """Ray itself would wait for half a minute, and raise a plain exception then."""

    @contextmanager
    def start_and_die(*_: object) -> Iterator[list[Node]]:
        daemon = subprocess.Popen(["sleep", "60"])
        while psutil.Process(daemon.pid).name() != "sleep":  # it gets its name a moment after it starts
            time.sleep(0.001)
        daemon.kill()
        time.sleep(seconds)
        raise DeadWhileStartingError("Ray: local start: Exception: The current node timed out during startup.")
        yield [daemon]

    monkeypatch.setattr(ray_watchdog, "ray_session", start_and_die)
    began = time.monotonic()
    with subprocess.Popen(["sleep", "60"]) as earlier:  # it does not hide the new ones
        with pytest.raises(BenchmarkError, match="Ray died; call run again"), watched_ray(stop, tmp_path / "ray.log"):
            pass
        earlier.kill()
    assert time.monotonic() - began < 10


def test_the_daemons_of_an_earlier_ray_do_not_matter(daemon: Child, stop: Stop) -> None:
    daemon.kill()
    time.sleep(0.1)  # dead, and still in the table of processes
    with stop.on_signals(), watchdog(stop):
        time.sleep(0.3)
    assert not stop.ray_died


def test_the_death_of_ray_ends_a_call_in_another_thread(daemon: Child, stop: Stop) -> None:
    raised: list[BaseException] = []

    def call() -> None:
        try:
            wait_for_ray(daemon, stop)
        except BaseException as error:
            raised.append(error)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(timeout=30)
    assert [type(error) for error in raised] == [BenchmarkError]
    assert signal.getsignal(signal.SIGINT) is before  # only the main thread may set handlers


def test_an_error_that_comes_with_the_death_of_ray_names_it(daemon: Child, stop: Stop) -> None:
    def lose_connection() -> None:
        daemon.kill()
        daemon.wait()
        raise RuntimeError("connection lost")

    with pytest.raises(BenchmarkError, match="Ray died"), stop.on_signals(), watchdog(stop):
        lose_connection()


def test_other_errors_pass(daemon: Child, stop: Stop) -> None:
    with pytest.raises(RuntimeError, match="of our own"), watchdog(stop):
        raise RuntimeError("of our own")


def test_stop_survives_the_pickling_that_tune_does(stop: Stop) -> None:
    stop.asked = True
    assert pickle.loads(pickle.dumps(stop.is_asked))()
