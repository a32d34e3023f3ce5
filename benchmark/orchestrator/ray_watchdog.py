"""Start Ray for a run, and end or restart the run when Ray dies."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from benchmark.errors import BenchmarkError
from benchmark.orchestrator.interrupt import Stop
from benchmark.orchestrator.ray_logs import busy_machine, cause_of_death, session_logs
from benchmark.orchestrator.ray_session import DeadWhileStartingError, ray_session
from benchmark.planning.node import Node
from benchmark.temporary import ray_folder

DAEMONS = ("raylet", "gcs_server")  # names of Ray's own processes
LOOK_EVERY_SECONDS = 1.0
RESTARTS = "AAT_BENCHMARK_RESTARTS"  # environment variable: how often this command was started again
STARTS = "AAT_BENCHMARK_STARTS"  # the same, since a Ray of this command was up
MAX_RESTARTS = 20
MAX_RESTARTS_OF_START = 2  # of a Ray that dies before it is up: then its own error is shown
RAY_DIED = "Ray died; call run again: it continues with the trials that are not finished"

logger = logging.getLogger(__name__)


@contextmanager
def watched_ray(
    stop: Stop, log: Path, *, address: str | None = None, cpus: int | None = None, restart: bool = False
) -> Iterator[list[Node]]:
    """Start Ray or connect to it, and handle signals and the death of Ray until the context ends. Yield its machines.

    Args:
        stop: of this run.
        log: file for what Ray's processes print.
        address: address of a cluster; None uses this machine.
        cpus: cores that Ray may use here; None for all.
        restart: see `watchdog`.

    Raises:
        BenchmarkError: as `ray_session` and `watchdog`.
    """
    with ExitStack() as stack, watchdog(stop, restart=restart):  # the watchdog ends before Ray does
        with stop.on_signals(at_once=True):
            nodes = stack.enter_context(ray_session(address, cpus, None, log))
        stop.started = True
        os.environ.pop(STARTS, None)
        stack.enter_context(stop.on_signals())
        yield nodes


@contextmanager
def watchdog(stop: Stop, *, restart: bool = False) -> Iterator[None]:
    """End the run when a daemon of our own Ray dies; otherwise Tune would wait for ever, and Ray's start half a minute.

    Args:
        stop: of this run.
        restart: start the command of this process again instead of raising. This is for the command line, which
            continues from its records; a script or a notebook would start from its beginning.

    Raises:
        BenchmarkError: Ray died, and `restart` is False.
    """
    found = _daemons()
    daemons = {daemon for daemon in found if _is_running(daemon)}
    ended_before = found - daemons  # of an earlier Ray of this process
    caller, ended = threading.current_thread(), threading.Event()

    def ray_is_dead() -> bool:
        daemons.update(_daemons() - ended_before)
        return not all(_is_running(daemon) for daemon in daemons)

    def watch() -> None:
        while not ended.wait(LOOK_EVERY_SECONDS):
            if ray_is_dead() and not ended.is_set():
                logger.info("a daemon of Ray died")
                if restart and (stop.started or _count(STARTS) < MAX_RESTARTS_OF_START):
                    _restart(stop)
                stop.ray_died = True
                if stop.guarded:
                    _interrupt(caller)
                return

    stop.guarded = True
    threading.Thread(target=watch, name="ray-watchdog", daemon=True).start()
    try:
        try:
            yield
        finally:
            stop.guarded = False  # an interrupt that comes later is of no use; one that comes here is caught below
            ended.set()
    except KeyboardInterrupt:
        if stop.ray_died:
            _kill(_ray_processes())
        if stop.ray_died and not stop.asked:
            raise BenchmarkError(_what_to_do()) from None
        raise
    except Exception as error:  # Ray's own error may come before the watchdog looks
        if not isinstance(error, DeadWhileStartingError) and not ray_is_dead():
            raise
        if restart and not (isinstance(error, BenchmarkError) and _count(STARTS) >= MAX_RESTARTS_OF_START):
            _restart(stop)
        _kill(_ray_processes())
        # a Ray that did not start says why
        raise BenchmarkError(_what_to_do(str(error) if isinstance(error, BenchmarkError) else "")) from error


def _daemons() -> set[psutil.Process]:
    """Return the daemons of our own Ray, with those that have died and are still in the table of processes."""
    found = set[psutil.Process]()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if child.name() in DAEMONS:
                found.add(child)
    return found


def _is_running(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _ray_processes() -> list[psutil.Process]:
    """Return the processes that our Ray started. The caller may have other children, which must stay."""
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            is_script = any("/ray/" in word and word.endswith(".py") for word in child.cmdline())
            if child.name() in DAEMONS or child.name().startswith("ray") or is_script:
                found += [child, *child.children(recursive=True)]
    return found


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=5)


def _interrupt(thread: threading.Thread) -> None:
    """Raise KeyboardInterrupt in a thread that waits for Ray."""
    assert thread.ident is not None
    if thread is threading.main_thread():
        signal.pthread_kill(thread.ident, signal.SIGINT)  # a signal also ends a system call that blocks
    else:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt))


def _count(variable: str) -> int:
    """Return a number of restarts from an environment variable."""
    return int(os.environ.get(variable, "0"))


def _findings(otherwise: str = "") -> str:
    """Return why Ray died, how busy the machine is, and where the logs are.

    Args:
        otherwise: the reason if the logs of Ray have none.
    """
    logs = None
    with contextlib.suppress(BenchmarkError):
        logs = session_logs(ray_folder())
    cause = (cause_of_death(logs) if logs else "") or otherwise
    return "; ".join(filter(None, (cause, busy_machine(), f"logs in {logs}" if logs else "")))


def _what_to_do(otherwise: str = "") -> str:
    """Return the error of a dead Ray with what is known of its cause."""
    found = _findings(otherwise)
    return f"{RAY_DIED} ({found})" if found else RAY_DIED


def _restart(stop: Stop) -> None:
    """Replace this process by a new one with the same command; never returns."""
    stop.file.unlink(missing_ok=True)
    _kill(psutil.Process().children(recursive=True))
    with contextlib.suppress(Exception):
        stop.console.show_cursor()
    if stop.asked:
        os._exit(130)
    found = _findings()
    cause = f": {found}" if found else ""
    if stop.started:
        variable, most, what = RESTARTS, MAX_RESTARTS, "Ray died"
    else:
        variable, most, what = STARTS, MAX_RESTARTS_OF_START, "Ray did not start"
    number = _count(variable) + 1
    if number > most:
        print(f"{what} {number} times; giving up{cause}", file=sys.stderr, flush=True)
        os._exit(3)
    print(f"{what}{cause}", file=sys.stderr)
    print(f"Starting again with what is left, attempt {number + 1} of {most + 1}", file=sys.stderr, flush=True)
    os.environ[variable] = str(number)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
