"""End or restart a run whose Ray has died."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

from benchmark.errors import BenchmarkError
from benchmark.orchestrator.interrupt import Stop

DAEMONS = ("raylet", "gcs_server")  # names of Ray's own processes
LOOK_EVERY_SECONDS = 1.0
RESTARTS = "AAT_BENCHMARK_RESTARTS"  # environment variable: how often this command was started again
MAX_RESTARTS = 20
RAY_DIED = "Ray died; call run again: it continues with the trials that are not finished"

logger = logging.getLogger(__name__)


@contextmanager
def watchdog(stop: Stop, *, restart: bool = False) -> Iterator[None]:
    """End the run when the daemons of our own Ray die; otherwise Tune would wait for ever.

    Args:
        stop: of this run.
        restart: start the command of this process again instead of raising. This is for the command line, which
            continues from its records; a script or a notebook would start from its beginning.

    Raises:
        BenchmarkError: Ray died, and `restart` is False.
    """
    daemons = [child for child in psutil.Process().children(recursive=True) if _is_running(child, DAEMONS)]
    caller, ended = threading.current_thread(), threading.Event()

    def ray_is_dead() -> bool:
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
    if daemons:
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
        if not ray_is_dead():
            raise
        if restart:
            _restart(stop)
        _kill(_ray_processes())
        raise BenchmarkError(RAY_DIED) from error


def _is_running(process: psutil.Process, names: Sequence[str] = ()) -> bool:
    """Return True when a process runs and, if `names` are given, has one of them."""
    with contextlib.suppress(psutil.Error):
        running = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return running and (not names or process.name() in names)
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


def _restart(stop: Stop) -> None:
    """Replace this process by a new one with the same command; never returns."""
    stop.file.unlink(missing_ok=True)
    _kill(psutil.Process().children(recursive=True))
    restarts = int(os.environ.get(RESTARTS, "0")) + 1
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
