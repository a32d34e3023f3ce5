"""What a trial runs on, and how its speed is measured."""

from __future__ import annotations

import pytest
import torch

from benchmark import nvml
from benchmark.data.parallel import usable_cores
from benchmark.planning import machine as room
from benchmark.planning import node
from benchmark.planning.machine import Machine, machine_here, matrix_product_speed


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_here(1).threads == 1
    assert machine_here().threads <= usable_cores()
    monkeypatch.setattr(room, "usable_cores", lambda: 4)
    assert [machine_here(cpus).threads for cpus in (3, 4, 5)] == [3, 4, 4]


def test_without_gpus_for_trials_the_machine_is_its_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "gpus", lambda: [("card", 2**35), ("card", 2**35)])
    for module in (node, room):
        monkeypatch.setattr(module, "usable_cores", lambda: 16)
    assert machine_here() == machine_here(None, 1) == Machine("card", 8)
    assert machine_here(None, 0) == Machine("cpu", 1)


class FakeGpu:
    """A GPU that starts products at once and computes them while it is waited for."""

    launch, per_operation = 20e-6, 1e-14

    def __init__(self) -> None:
        self.now, self.queued = 0.0, 0.0
        self.shapes: list[tuple[int, int, object]] = []

    def ones(self, rows: int, columns: int, *, device: str, dtype: object) -> FakeGpu:
        assert device == "cuda"
        self.shapes.append((rows, columns, dtype))
        return self

    def __matmul__(self, _: FakeGpu) -> None:
        self.now += self.launch
        self.queued += 2 * self.shapes[-1][0] ** 3 * self.per_operation

    def synchronize(self) -> None:
        self.now += self.queued + 1e-3  # waiting costs something itself
        self.queued = 0.0


def test_the_speed_of_a_gpu_is_not_that_of_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu()
    monkeypatch.setattr(torch, "ones", gpu.ones)
    monkeypatch.setattr(torch.cuda, "synchronize", gpu.synchronize)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(room.time, "perf_counter", lambda: gpu.now)
    assert matrix_product_speed(Machine("card", 1)) == pytest.approx(1 / gpu.per_operation, rel=0.05)
    assert gpu.shapes[0][2] == torch.float16
    assert gpu.queued == 0  # all were waited for


def test_the_speed_of_this_cpu() -> None:
    assert 1e8 < matrix_product_speed(Machine("cpu", 1)) < 1e14
