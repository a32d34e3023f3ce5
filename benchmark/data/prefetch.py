"""Prepare the next batch while a GPU computes with the current one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import torch

Source = TypeVar("Source")
Nested = TypeVar("Nested")
Tensors = tuple[torch.Tensor, ...]
Prepared = TypeVar("Prepared", bound=Tensors)


def prefetched(
    sources: Iterable[Source], prepare: Callable[[Source], Prepared], device: torch.device
) -> Iterator[Prepared]:
    """Yield `prepare(source)` for each source, in order, and prepare one item ahead of the caller.

    On a GPU it is prepared on a stream of its own, so that copies and kernels overlap with what the caller has asked
    the GPU to do. An error is raised in place of the item that it belongs to, after all earlier ones.

    Args:
        sources: read one item ahead of the caller.
        prepare: asks the device for the tensors of an item. It draws no random numbers.
        device: where the tensors are.
    """
    side = _SideStream(device) if device.type == "cuda" else None
    remaining = iter(sources)
    ahead = _attempt(remaining, prepare, side)
    while ahead is not None:
        if ahead.error is not None:
            raise ahead.error
        current, ahead = ahead, _attempt(remaining, prepare, side)
        assert current.tensors is not None
        if side is not None:
            side.hand_over(current.tensors, current.done)
        yield current.tensors


@dataclass(frozen=True)
class _Ahead(Generic[Prepared]):
    """An item that the caller did not ask for yet.

    Attributes:
        tensors: what was prepared; None after an error.
        done: when the GPU has them; None on a CPU.
        error: what reading or preparing it raised.
    """

    tensors: Prepared | None = None
    done: torch.cuda.Event | None = None
    error: Exception | None = None


def _attempt(
    remaining: Iterator[Source], prepare: Callable[[Source], Prepared], side: _SideStream | None
) -> _Ahead[Prepared] | None:
    """Read and prepare the next item; None at the end."""
    try:
        source = next(remaining)
    except StopIteration:
        return None
    except Exception as error:
        return _Ahead(error=error)
    try:
        return _Ahead(prepare(source)) if side is None else side.prepare(source, prepare)
    except Exception as error:
        return _Ahead(error=error)


@functools.cache
def _stream_of(device: torch.device) -> torch.cuda.Stream:
    """Return this process's second stream of a GPU: allocator and libraries keep memory for every stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class _SideStream:
    """A stream beside the caller's current one.

    Args:
        device: a GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = _stream_of(device)
        self._stream.wait_stream(torch.cuda.current_stream(device))  # such as filter banks that were just copied
        self._device = device

    def prepare(self, source: Source, prepare: Callable[[Source], Prepared]) -> _Ahead[Prepared]:
        """Ask the GPU for an item on this stream."""
        with torch.cuda.stream(self._stream):
            tensors = prepare(pinned(source))
            return _Ahead(tensors, self._stream.record_event())

    def hand_over(self, tensors: Tensors, done: torch.cuda.Event | None) -> None:
        """Let the current stream wait for an item, but not for the one after it."""
        current = torch.cuda.current_stream(self._device)
        assert done is not None
        current.wait_event(done)
        for tensor in tensors:
            tensor.record_stream(current)  # its memory is not reused before the current stream is done with it


def pinned(value: Nested) -> Nested:
    """Return a structure of named tuples with its tensors in pinned memory, from which a GPU copies without a wait."""
    if isinstance(value, torch.Tensor):
        return cast("Nested", value.pin_memory())
    if isinstance(value, tuple):
        parts: list[Any] = [pinned(part) for part in value]
        return cast("Nested", type(value)(*parts))
    return value
