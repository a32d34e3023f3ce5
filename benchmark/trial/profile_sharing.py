"""Throughput of trials that train at the same time on one device, with random weights and random input."""

from __future__ import annotations

import contextlib
import logging
import pickle
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.records.environment import EAGER
from benchmark.records.schema import Cost, SharingProfile
from benchmark.spec.request import TrialRequest
from benchmark.trial.outside import outside_places
from benchmark.trial.profile import provenance
from benchmark.trial.profile_child import start_child

WORKER = "benchmark.trial.profile_sharing_worker"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Together:
    """How processes that train at the same time are measured.

    Attributes:
        device: `cpu` or `cuda`.
        cores: CPU cores that the processes divide: each of n has a part of cores / n threads, at least one.
        numbers: numbers of processes, from 1 upwards.
        seconds: how long each number trains.
        compiled: whether the steps are compiled.
        checkpointing: whether activations are computed again in the backward pass.
        mps: whether the processes share the GPU by MPS, which is running.
        variables: environment variables of the processes, such as those of MPS.
    """

    device: str
    cores: int
    numbers: Sequence[int]
    seconds: float
    compiled: bool
    checkpointing: bool
    mps: bool
    variables: Mapping[str, str]


@dataclass(frozen=True)
class SharedStep:
    """What each process trains, with all cores until a burst says otherwise.

    Attributes:
        request: the step.
        how: how it is measured.
        outside: places of methods and backbones from outside the suite.
    """

    request: TrialRequest
    how: Together
    outside: Mapping[str, str]


@dataclass(frozen=True)
class Burst:
    """A command to a process: train for some seconds with some threads; it answers the clips per second."""

    seconds: float
    threads: int


@dataclass(frozen=True)
class Fault:
    """A process's last answer.

    Attributes:
        line: the error in one line.
        out_of_memory: whether the memory was too small.
    """

    line: str
    out_of_memory: bool


class _NoMemoryError(Exception):
    """The memory is too small for one more process."""


def measure_sharing(request: TrialRequest, how: Together, cost: Cost | None) -> SharingProfile:
    """Train a request's step in 1, 2, ... processes at the same time and measure the clips per second of all together.

    The processes start as they are needed. If the memory is too small for a number, the smaller numbers count. No
    process is left at the end, whatever ends this function.

    Args:
        request: the step.
        how: what to measure.
        cost: counted cost of the step; None if it cannot be counted.

    Raises:
        BenchmarkError: the method does not fit the model, or not even one process can train.
    """
    found: dict[int, float] = {}
    error, compilation = None, EAGER
    with ExitStack() as stack:
        processes: list[subprocess.Popen[bytes]] = []
        for number in how.numbers:
            try:
                new = [stack.enter_context(_process(request, how)) for _ in range(number - len(processes))]
                for process in new:
                    compilation = _answer(process, request)  # it is ready
                processes += new
                found[number] = _burst(processes, request, Burst(how.seconds, max(1, how.cores // number)))
            except _NoMemoryError as lack:
                error = f"{number} at once: {lack}"
                break
            logger.info("%s: %d at once: %.1f clips/s", request.label, number, found[number])
    if not found:
        raise BenchmarkError(f"{request.label}: {error}")
    return SharingProfile(
        **provenance(request, how.device, how.cores, compilation, checkpointing=how.checkpointing),
        cost=cost,
        mps=how.mps,
        seconds=how.seconds,
        clips_per_second=found,
        error=error,
    )


@contextmanager
def _process(request: TrialRequest, how: Together) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that trains on command, and kill it at the end."""
    with start_child(WORKER, how.variables) as process:
        try:
            _send(process, SharedStep(request, how, outside_places([request])))
            yield process
        finally:
            process.kill()


def _send(process: subprocess.Popen[bytes], content: object) -> None:
    assert process.stdin is not None
    try:
        pickle.dump(content, process.stdin)
        process.stdin.flush()
    except BrokenPipeError:  # it has ended, which its answer says
        with contextlib.suppress(BrokenPipeError):  # what is left to send
            process.stdin.close()


def _answer(process: subprocess.Popen[bytes], request: TrialRequest) -> Any:
    """Return the next answer of a process.

    Raises:
        _NoMemoryError: it ran out of memory or was killed.
        BenchmarkError: it failed.
    """
    assert process.stdout is not None
    try:
        content = pickle.load(process.stdout)
    except (EOFError, pickle.UnpicklingError):
        code = process.wait()
        if code < 0:
            raise _NoMemoryError("a process was killed") from None
        raise BenchmarkError(f"{request.label}: the process that trains it ended with code {code}") from None
    if isinstance(content, Fault):
        if content.out_of_memory:
            raise _NoMemoryError(f"out of memory ({content.line})")
        raise BenchmarkError(f"{request.label}: {content.line}")
    return content


def _burst(processes: Sequence[subprocess.Popen[bytes]], request: TrialRequest, burst: Burst) -> float:
    """Let all processes train at the same time; return their clips per second together."""
    for process in processes:
        _send(process, burst)
    return sum(float(_answer(process, request)) for process in processes)
