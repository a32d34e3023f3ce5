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
from benchmark.orchestrator.ray_session import DeadWhileStartingError, ray_session
from benchmark.planning.node import Node

DAEMONS = ("raylet", "gcs_server")  # names of Ray's own processes
LOOK_EVERY_SECONDS = 1.0
RESTARTS = "AAT_BENCHMARK_RESTARTS"  # environment variable: how often this command was started again
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
        nodes = stack.enter_context(ray_session(address, cpus, None, log))
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
                logger.warning("a daemon of Ray died")
                if restart:
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
            raise BenchmarkError(RAY_DIED) from None
        raise
    except Exception as error:  # Ray's own error may come before the watchdog looks
        if not isinstance(error, DeadWhileStartingError) and not ray_is_dead():
            raise
        if restart and not (isinstance(error, BenchmarkError) and _restarts() >= MAX_RESTARTS_OF_START):
            _restart(stop)
        _kill(_ray_processes())
        if isinstance(error, BenchmarkError):  # Ray did not start, and says why
            raise BenchmarkError(f"{RAY_DIED} ({error})") from error
        raise BenchmarkError(RAY_DIED) from error


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


def _restarts() -> int:
    """Return how often this command was started again."""
    return int(os.environ.get(RESTARTS, "0"))


def _restart(stop: Stop) -> None:
    """Replace this process by a new one with the same command; never returns."""
    stop.file.unlink(missing_ok=True)
    _kill(psutil.Process().children(recursive=True))
    restarts = _restarts() + 1
    with contextlib.suppress(Exception):
        stop.console.show_cursor()
    if stop.asked:
        os._exit(130)
    if restarts > MAX_RESTARTS:
        print(f"Ray died {restarts} times; giving up", file=sys.stderr, flush=True)
        os._exit(3)
    print("Ray died; starting again with what is left", file=sys.stderr, flush=True)
    os.environ[RESTARTS] = str(restarts)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
