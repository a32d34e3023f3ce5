"""How a trial ends when a disk or a memory is full, or when CUDA breaks."""

from __future__ import annotations

import errno
import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmark.records.lease import Lease
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial import run as run_module
from benchmark.trial.device import breaks_cuda, free_memory, is_out_of_memory, trial_memory
from benchmark.trial.run import Setting, TransientError, attempt_trial
from tests.samples import make_cost

Make = Callable[..., TrialRequest]
FULL = OSError(errno.ENOSPC, "No space left on device")
DEVICE_ASSERT = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported"


@pytest.fixture
def setting(data_root: Path, tmp_path: Path) -> Setting:
    return Setting(tmp_path, RunOptions(data_root, tmp_path / "cache"), cost=make_cost())


def raises(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


def attempt(request: TrialRequest, setting: Setting) -> run_module.Outcome:
    return attempt_trial(request, setting, lambda _: None)


def test_an_attempt_that_cannot_be_written_is_still_an_outcome(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "run_trial", raises(ValueError("in the method")))
    monkeypatch.setattr(ResultStore, "write_attempt", raises(FULL))
    outcome = attempt(make_request(), setting)
    assert outcome.status == "failed"
    assert outcome.error == (
        "ValueError: in the method (its failed attempt was not written: [Errno 28] No space left on device)"
    )


@pytest.mark.parametrize("place", ["record", "lease"])
def test_a_full_disk_may_pass(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(ResultStore, "write_attempt", raises(FULL))
    if place == "record":
        monkeypatch.setattr(run_module, "run_trial", raises(FULL))
    else:
        monkeypatch.setattr(Lease, "take", raises(FULL))
    with pytest.raises(TransientError, match=r"OSError: \[Errno 28\] No space left on device \(its failed attempt"):
        attempt(make_request(), setting)


def test_a_timeout_of_this_run_is_not_repeated_whatever_the_clocks_say(make_request: Make, setting: Setting) -> None:
    """The machine of the trial and the machine of the run may differ by hours."""
    request = make_request()
    late = Attempt.now(request, "timeout", "took longer than 5 s", "", "0", "this run")
    ResultStore(setting.results).write_attempt(late.model_copy(update={"finished": "2001-01-01T00:00:00+00:00"}))
    assert attempt(request, replace(setting, run="this run")).status == "timeout"
    assert attempt(request, replace(setting, run="another run")).status == "completed"


def test_the_process_ends_at_the_deadline_even_if_the_attempt_cannot_be_written(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, timer = list[int](), SimpleNamespace(start=lambda: None, cancel=lambda: None)
    monkeypatch.setattr(ResultStore, "write_attempt", raises(FULL))
    monkeypatch.setattr(os, "_exit", ended.append)

    def at_once(_: float, expire: Callable[[], None]) -> SimpleNamespace:
        with pytest.raises(OSError, match="No space"):
            expire()
        return timer

    monkeypatch.setattr(threading, "Timer", at_once)
    limited = Setting(setting.results, RunOptions(setting.options.data_root, None, timeout=1.0))
    with run_module._deadline(make_request(), limited, ResultStore(setting.results)):
        pass
    assert ended == [1]


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError(DEVICE_ASSERT),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, ...)`"),
    ],
)
def test_after_a_cuda_error_the_attempt_is_written_and_the_process_ends(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    """A raised error makes Ray Tune end the process, see `TransientError`."""
    monkeypatch.setattr(run_module, "run_trial", raises(error))
    with pytest.raises(TransientError, match=str(error).split(" ", maxsplit=1)[0]):
        attempt(make_request(), setting)
    store = ResultStore(setting.results)
    [path] = store.attempts()
    kept = store.read_attempt(path)
    assert kept is not None
    assert (kept.status, kept.error) == ("failed", f"{type(error).__name__}: {str(error).splitlines()[0]}")


def test_a_cuda_error_inside_another_error_is_found() -> None:
    error = KeyError("in the method's clean-up")
    error.__context__ = torch.AcceleratorError(DEVICE_ASSERT)
    assert breaks_cuda(error)
    assert not breaks_cuda(ValueError("CUDA error: in somebody's text"))
    assert not breaks_cuda(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasLtCreate(&handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_a_full_memory_is_known_by_any_of_its_names(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    assert is_out_of_memory(error)
    assert not breaks_cuda(error)
    monkeypatch.setattr(run_module, "run_trial", raises(error))
    assert attempt(make_request(), setting).status == "out_of_memory"


class Part:
    """Something of a model that refers to its whole, and the whole to it."""

    def __init__(self) -> None:
        self.whole = self


@pytest.fixture
def _no_collection_by_chance() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collection_by_chance")
def test_a_trial_releases_what_it_made_and_does_not_look_through_what_was_there() -> None:
    old = weakref.ref(Part())
    with trial_memory():
        new = weakref.ref(Part())
    assert (old() is None, new() is None) == (False, True)
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert old() is None


def test_releasing_memory_of_a_broken_gpu_does_not_hide_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", raises(torch.AcceleratorError(DEVICE_ASSERT)))
    free_memory()
