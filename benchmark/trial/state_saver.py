"""Save the resume state of a trial now and then; on a GPU while training goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import torch

from benchmark.errors import first_line
from benchmark.trial.resume import ResumeFiles, State

logger = logging.getLogger(__name__)


class StateSaver:
    """Saves resume states, at most one in an interval; use it in `with`, which waits for the last one.

    In the background, a state is copied to host memory first, and a thread writes the copy. An error of the thread is
    raised at the next call, at the latest at the end of `with`.

    Args:
        files: where the states go; None saves none.
        seconds: shortest time between two states, counted from here on.
        in_background: whether a thread writes. Not on a CPU: the copy would take its memory.
    """

    def __init__(self, files: ResumeFiles | None, seconds: float, *, in_background: bool) -> None:
        self._files = files
        self._seconds = seconds
        self._saved_at = time.monotonic()
        self._copy = HostCopy() if in_background else None
        self._thread = ThreadPoolExecutor(1, "resume-state") if in_background else None
        self._written: Future[None] | None = None

    @property
    def is_due(self) -> bool:
        """Whether the interval since the last state has passed."""
        return self._files is not None and time.monotonic() - self._saved_at >= self._seconds

    def save(self, finished: State, changing: State) -> None:
        """Save a state, after the one before is written.

        Args:
            finished: a part of the state that later epochs leave as it is.
            changing: the other part, whose tensors training changes in place.

        Raises:
            OSError: this state or the one before could not be written.
            LostLeaseError: another process has taken the trial over.
        """
        if self._files is None:
            return
        self.wait()
        if self._copy and self._thread:
            self._written = self._thread.submit(_write, self._files, finished, *self._copy.of(changing))
        else:
            _write(self._files, finished, changing, None)
        self._saved_at = time.monotonic()

    def wait(self) -> None:
        """Wait until the last state is written.

        Raises:
            OSError: as `save`.
            LostLeaseError: as `save`.
        """
        written, self._written = self._written, None
        if written:
            written.result()

    def __enter__(self) -> StateSaver:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self.wait()
        except Exception as unwritten:
            if error is None and not isinstance(unwritten, OSError):
                raise
            # another error is raised, or the trial has ended and needs no state any more
            logger.info("the last resume state was not written: %s", first_line(unwritten))
        finally:
            if self._thread:
                self._thread.shutdown()


class HostCopy:
    """Copies tensors to host memory, each time to the same place. Of a GPU's tensors, the memory is pinned.

    The copies may be read until the next ones are made.
    """

    def __init__(self) -> None:
        self._buffers: list[torch.Tensor] = []
        self._used = 0

    def of(self, content: State) -> tuple[State, torch.cuda.Event | None]:
        """Return a copy of nested dictionaries and lists, and what to wait for before its tensors are read.

        A GPU copies in the order of its stream: what is launched later finds its tensors copied.
        """
        self._used = 0
        copied: State = self._copied(content)
        on_gpu = any(buffer.is_pinned() for buffer in self._buffers) if torch.cuda.is_available() else False
        return copied, torch.cuda.current_stream().record_event() if on_gpu else None

    def _copied(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self._buffer_for(value).copy_(value, non_blocking=True)
        if isinstance(value, Mapping):
            return {key: self._copied(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copied(item) for item in value]
        return value

    def _buffer_for(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the next buffer; a new one where there is none of this shape and type."""
        place, self._used = self._used, self._used + 1
        found = self._buffers[place : place + 1]
        if [(buffer.shape, buffer.dtype) for buffer in found] != [(tensor.shape, tensor.dtype)]:
            found = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)]
            self._buffers[place : place + 1] = found
        return found[0]


def _write(files: ResumeFiles, finished: State, changing: State, copied: torch.cuda.Event | None) -> None:
    if copied:
        copied.synchronize()
    files.save({**finished, **changing})
