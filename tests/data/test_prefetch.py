"""The next batch is prepared before the current one is given out; here without streams, on a CPU."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
import torch

from benchmark.data.prefetch import pinned, prefetched

CPU = torch.device("cpu")


def prepared(number: int) -> tuple[torch.Tensor, ...]:
    return (torch.tensor(number), torch.tensor(10 * number))


def test_items_come_in_order_each_prepared_before_the_one_before_it_is_given_out() -> None:
    events: list[str] = []

    def prepare(number: int) -> tuple[torch.Tensor, ...]:
        events.append(f"prepare {number}")
        return prepared(number)

    for first, second in prefetched(iter(range(3)), prepare, CPU):
        events.append(f"use {int(first)}")
        assert int(second) == 10 * int(first)
    assert events == ["prepare 0", "prepare 1", "use 0", "prepare 2", "use 1", "use 2"]
    assert list(prefetched([], prepared, CPU)) == []


@pytest.mark.parametrize("where", ["reading", "preparing"])
def test_an_error_takes_the_place_of_its_item(where: str) -> None:
    def read() -> Iterator[int]:
        yield from range(2)
        if where == "reading":
            raise OSError("gone")
        yield 2

    def prepare(number: int) -> tuple[torch.Tensor, ...]:
        if number == 2:
            raise OSError("gone")
        return prepared(number)

    items = prefetched(read(), prepare, CPU)
    assert [int(first) for first, _ in itertools.islice(items, 2)] == [0, 1]
    with pytest.raises(OSError, match="gone"):
        next(items)


def test_an_interrupt_does_not_wait() -> None:
    def read() -> Iterator[int]:
        yield 0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(prefetched(read(), prepared, CPU))


def test_leaving_early_ends_the_reading() -> None:
    ended = []

    def read() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            ended.append(True)

    items = prefetched(read(), prepared, CPU)
    next(items)
    del items
    assert ended == [True]


class Inner(NamedTuple):
    tensor: torch.Tensor
    nothing: None


class Outer(NamedTuple):
    inner: Inner
    tensor: torch.Tensor


def test_pinning_keeps_the_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1)
    found = pinned(Outer(Inner(torch.zeros(2), None), torch.ones(1)))
    assert isinstance(found, Outer)
    assert isinstance(found.inner, Inner)
    assert (found.inner.tensor.tolist(), found.inner.nothing, found.tensor.tolist()) == ([1, 1], None, [2])


class FakeStream:
    """A CUDA stream that writes down what it is asked for."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name, self.events, self.recorded = name, events, 0

    def wait_stream(self, other: FakeStream) -> None:
        self.events.append(f"{self.name} waits for {other.name}")

    def wait_event(self, event: str) -> None:
        self.events.append(f"{self.name} waits for {event}")

    def record_event(self) -> str:
        self.recorded += 1
        return f"item {self.recorded}"


def test_on_a_gpu_the_callers_stream_waits_for_the_item_and_not_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The streams are played."""
    events: list[str] = []
    caller, side = FakeStream("caller", events), FakeStream("side", events)
    current = [caller]

    @contextmanager
    def on(stream: FakeStream) -> Iterator[None]:
        current.append(stream)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "Stream", lambda _: side)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: current[-1])
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(
        torch.Tensor, "record_stream", lambda tensor, stream: events.append(f"{stream.name} uses {int(tensor)}")
    )

    def prepare(number: int) -> tuple[torch.Tensor, ...]:
        events.append(f"{current[-1].name} prepares {number}")
        return prepared(number)

    for first, _ in prefetched(iter([1, 2]), prepare, torch.device("cuda")):
        events.append(f"{current[-1].name} computes with {int(first)}")
    assert events == [
        "side waits for caller",
        "side prepares 1", "side prepares 2",
        "caller waits for item 1", "caller uses 1", "caller uses 10", "caller computes with 1",
        "caller waits for item 2", "caller uses 2", "caller uses 20", "caller computes with 2",
    ]  # fmt: skip
