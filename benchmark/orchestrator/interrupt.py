"""End a run at a signal of the user: after the current epochs at the first, at once at the second."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark.console import say

logger = logging.getLogger(__name__)


class Stop:
    """Whether a run should stop. Trials look for its file after every epoch.

    The first Ctrl-C, SIGTERM or SIGHUP lets running trials finish their epoch and write their resume state; the second
    ends the run at once.

    Args:
        folder: the results folder.
        console: where the first signal is answered.

    Attributes:
        file: file whose presence asks trials to stop.
        asked: True after the first signal.
        ray_died: True when Ray has died and the run cannot continue.
        guarded: True while `watchdog` turns the KeyboardInterrupt of Ray's death into an error.
        started: True once Ray is up.
    """

    def __init__(self, folder: Path, console: Console) -> None:
        self.file = folder / f".stop-{uuid.uuid4().hex[:12]}"
        self.console = console
        self.asked = False
        self.ray_died = False
        self.guarded = False
        self.started = False

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the console: Tune pickles objects that refer to this one, and a console holds locks."""
        return {**self.__dict__, "console": None}

    @contextmanager
    def on_signals(self, *, at_once: bool = False) -> Iterator[None]:
        """Handle signals inside the context; enter it after Ray has set its own handlers.

        Python lets only the main thread set handlers: in another thread, signals keep their effect.

        Args:
            at_once: end the run at the first signal, as while Ray starts: no trial has begun.
        """
        in_main_thread = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if in_main_thread else ()
        handler = self._end if at_once else self._handle
        before = {number: signal.signal(number, handler) for number in numbers}
        try:
            yield
        finally:
            for number, earlier in before.items():
                signal.signal(number, earlier)
            self.file.unlink(missing_ok=True)

    def is_asked(self) -> bool:
        """Return True after the first signal."""
        return self.asked

    def _handle(self, number: int, frame: object) -> None:
        if self.ray_died and not self.guarded:
            return  # the run is ending already
        if self.asked or self.ray_died:
            raise KeyboardInterrupt
        self.asked = True
        with contextlib.suppress(OSError):
            self.file.touch()
        say(self.console, "Stopping after the current epochs. Press Ctrl-C again to stop now.")

    def _end(self, number: int, frame: object) -> None:
        if not self.ray_died:  # else the signal is the watchdog's
            self.asked = True
            say(self.console, "Stopped while Ray was starting; no trial began.")
        raise KeyboardInterrupt


def wait_while(busy: Callable[[], bool], stop: Stop, seconds: float) -> None:
    """Wait until `busy` returns False or the user wants to stop.

    Args:
        busy: asked again and again.
        stop: of this run.
        seconds: time between two questions.
    """
    while busy() and not stop.asked:
        time.sleep(seconds)
