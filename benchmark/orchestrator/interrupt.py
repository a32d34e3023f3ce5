"""Ending a run: gently on the first signal, at once on the second, and when Ray itself is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

DAEMONS = ("raylet", "gcs_server")
LOOK_EVERY_SECONDS = 1.0
RESTARTS = "AAT_BENCHMARK_RESTARTS"
MOST_RESTARTS = 20


class Stop:
    """Whether the user asked to stop. Trials look at the file behind every epoch.

    The first Ctrl-C, SIGTERM or SIGHUP lets running trials finish their epoch and write its checkpoint; the second ends
    the run at once.
    """

    def __init__(self, folder: Path, console: Console) -> None:
        self.file = folder / f".stop-{os.getpid()}"
        self.console = console
        self.asked = False

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles what looks at this; a console holds locks."""
        return {**self.__dict__, "console": None}

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Set after Ray has set its own handlers."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self.file.unlink(missing_ok=True)

    def _handle(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        with contextlib.suppress(OSError):
            self.file.touch()
        self.console.print("stopping behind the running epochs; once more to stop at once", soft_wrap=True)


@contextmanager
def watchdog(stop: Stop) -> Iterator[None]:
    """Start the same command anew when the daemons of our own Ray die: Tune would hang, and the records are on disk."""
    children = psutil.Process().children(recursive=True)
    daemons = [each for each in children if _running(each) and each.name() in DAEMONS]
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_EVERY_SECONDS):
            if not all(_running(each) for each in daemons) and not ended.is_set():
                _restart(stop)

    if daemons:
        threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _running(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _restart(stop: Stop) -> None:
    stop.file.unlink(missing_ok=True)
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(children, timeout=5)
    restarts = int(os.environ.get(RESTARTS, "0")) + 1
    with contextlib.suppress(Exception):
        stop.console.show_cursor()
    if stop.asked:
        os._exit(130)
    if restarts > MOST_RESTARTS:
        print(f"Ray died {restarts} times; giving up", file=sys.stderr, flush=True)
        os._exit(3)
    print("Ray died; starting again with what is left", file=sys.stderr, flush=True)
    os.environ[RESTARTS] = str(restarts)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def wait_while(busy: Callable[[], bool], stop: Stop, seconds: float) -> None:
    """Wait until nothing is busy, or the user wants to stop."""
    while busy() and not stop.asked:
        time.sleep(seconds)
