"""Peak memory of training is not that of evaluation, which takes twice the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial import memory as room
from benchmark.trial.memory import Peak, PeakMemory
from benchmark.trial.run import Setting, run_trial


class FakeGpu:
    """The counters of an allocator that keeps what it reserved."""

    def __init__(self) -> None:
        self.peak = self.reserved = 0

    def use(self, size: int) -> None:
        self.peak = max(self.peak, size)
        self.reserved = max(self.reserved, size + 1)

    def reset_peak_memory_stats(self, _: torch.device) -> None:
        self.peak = 0

    def max_memory_allocated(self, _: torch.device) -> int:
        return self.peak

    def max_memory_reserved(self, _: torch.device) -> int:
        return self.reserved


def test_training_and_evaluation_have_their_own_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu()
    for name in ("reset_peak_memory_stats", "max_memory_allocated", "max_memory_reserved"):
        monkeypatch.setattr(torch.cuda, name, getattr(gpu, name))
    monkeypatch.setattr(room, "peak_rss", lambda: gpu.reserved)
    memory = PeakMemory(torch.device("cuda"))
    gpu.use(999)  # before the first pass: loading the model
    gpu.reserved = 0
    for training, evaluation in ((10, 50), (12, 40), (11, 60)):
        with memory.in_training():
            gpu.use(training)
        with memory.in_evaluation():
            gpu.use(evaluation)
    assert memory.training == Peak(allocated=12, reserved=11, host=11)  # later passes keep what evaluation reserved
    assert memory.evaluation == Peak(allocated=60, reserved=61, host=61)


def test_a_record_has_the_peak_of_training(
    make_request: Callable[..., TrialRequest], data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def peaks() -> Iterator[int]:
        yield from (100, 300, 320, 400)  # training and evaluation of two epochs

    found = peaks()
    monkeypatch.setattr(room, "peak_rss", lambda: next(found))
    setting = replace(Setting(tmp_path, RunOptions(data_root)), fresh_process=True)
    profile = run_trial(make_request(), setting, lambda _: None).record.profile
    assert (profile.host_rss_bytes, profile.host_eval_rss_bytes) == (100, 400)
    assert (profile.gpu_allocated_bytes, profile.gpu_eval_allocated_bytes) == (None, None)
