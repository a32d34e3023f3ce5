"""Filter banks in the memory of a GPU: which trials hold them, and that they change no number. The GPU is played."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data import device_banks, loader
from benchmark.data.prefetch import prefetched
from benchmark.data.workers import DataWorkers
from benchmark.planning.expand import expand
from benchmark.records.schema import Record
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial import banks
from benchmark.trial.assemble import assemble
from benchmark.trial.gpu_memory import GPU_EXTRA, MARGIN, reserved_bytes, room_for_banks
from benchmark.trial.memory import PeakMemory
from benchmark.trial.run import Setting, attempt_trial, run_trial
from tests.conftest import TINY_RECIPE, tiny_grid
from tests.drawing import DRAWING
from tests.samples import make_cost

Make = Callable[..., TrialRequest]
CPU = torch.device("cpu")
GIB = 2**30
COST = make_cost().model_copy(update={"peak_bytes": 8 * GIB, "eval_peak_bytes": 4 * GIB})


@pytest.fixture
def setting(data_root: Path, tmp_path: Path) -> Setting:
    return Setting(tmp_path / "out", RunOptions(data_root, tmp_path / "cache"), cost=make_cost())


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a CPU hold banks as if it were a GPU."""
    monkeypatch.setattr(banks, "_room", lambda *_: 10**12)


def with_recipe(make: Make, method: str, **values: object) -> TrialRequest:
    return make(methods=[method], overrides=[{"source": "test", "values": {**TINY_RECIPE, **values}}])


def run(request: TrialRequest, setting: Setting) -> tuple[Record, dict[str, np.ndarray]]:
    finished = run_trial(request, setting, lambda _: None)
    return finished.record, finished.predictions


@pytest.mark.parametrize(
    ("method", "recipe"),
    [
        (DRAWING, {"mixup": 0.5, "noise": True, "loss": "bce"}),
        ("linear", {"frames": 640, "time_mask": 48, "limit_clips": 7}),  # longer than the clips
    ],
)
def test_a_trial_with_held_banks_has_the_same_numbers(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch, method: str, recipe: dict[str, object]
) -> None:
    request = with_recipe(make_request, method, **recipe)
    record, predictions = run(request, setting)
    monkeypatch.setattr(banks, "_room", lambda *_: 10**12)
    other, as_well = run(request, setting)
    assert [point.model_dump(exclude={"seconds"}) for point in record.curves] == [
        point.model_dump(exclude={"seconds"}) for point in other.curves
    ]
    assert record.data == other.data
    assert (record.environment["banks_on_gpu"], other.environment["banks_on_gpu"]) == (False, True)
    assert predictions.keys() == as_well.keys()
    assert all(np.array_equal(predictions[name], as_well[name]) for name in predictions)


def test_batches_prepared_ahead_change_no_number(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the method draws from the generators from which an epoch takes a number."""
    request = with_recipe(make_request, DRAWING, mixup=0.5, noise=True, loss="bce")
    record, predictions = run(request, setting)
    prepared: list[torch.device] = []

    def ahead(prepare: Callable, sources: Iterator) -> Iterator:
        prepared.append(CPU)
        return prefetched(sources, prepare, CPU)

    monkeypatch.setattr(loader, "map", ahead, raising=False)  # as on a GPU, without streams
    other, as_well = run(request, setting)
    assert len(prepared) == 4  # training and evaluation of two epochs
    assert [point.train_loss for point in record.curves] == [point.train_loss for point in other.curves]
    assert np.array_equal(predictions["logits_test"], as_well["logits_test"])


def test_skipped_clips_are_not_held(data_root: Path, tmp_path: Path, held: None) -> None:
    shutil.copytree(data_root, tmp_path / "data")
    broken = sorted((tmp_path / "data" / "ESC-50-master" / "audio").iterdir())[-1]  # of fold 5
    broken.write_bytes(b"no audio")
    grid = tiny_grid(overrides=[{"source": "test", "values": {**TINY_RECIPE, "on_bad_audio": "skip"}}])
    [request] = expand(grid, tmp_path / "data", tmp_path).requests
    setting = Setting(tmp_path, RunOptions(tmp_path / "data", tmp_path / "cache"), cost=make_cost())
    parts = assemble(request, setting)
    assert list(parts.data.data.skipped) == [f"audio/{broken.name}"]
    assert parts.data.held_bytes == 14 * 64 * 128 * 4  # of 15 clips
    assert parts.trainer.memory.left_out == parts.data.held_bytes


@pytest.mark.parametrize(("mixup", "expected"), [(0.0, 0), (0.5, 3)])
def test_without_mixup_no_process_loads_data(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch, held: None, mixup: float, expected: int
) -> None:
    started, servers = [], []

    def of(clips: object, number: int, device: torch.device) -> None:
        started.append(number)  # and none start

    monkeypatch.setattr(DataWorkers, "of", of)
    monkeypatch.setattr("benchmark.trial.assemble.start_server", lambda: servers.append(True))
    request = with_recipe(make_request, "linear", mixup=mixup, loss="bce")
    run(request, replace(setting, workers=3))
    assert started == [expected]
    assert len(servers) == (1 if expected else 0)


def test_a_cpu_holds_no_banks(make_request: Make, setting: Setting) -> None:
    assert assemble(make_request(), setting).data.held_bytes == 0


class FakeGpu:
    """A GPU of 80 GiB as `torch.cuda` shows it; the banks are on the CPU."""

    type = "cuda"
    free = 79 * GIB


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    found = FakeGpu()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (found.free, 80 * GIB))
    original = device_banks.hold
    monkeypatch.setattr(banks, "hold", lambda splits, device, threads: original(splits, torch.device("cpu"), threads))
    return found


def test_banks_are_held_where_they_fit_beside_the_training(
    make_request: Make, setting: Setting, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = assemble(make_request(), setting).data
    size = 15 * 64 * 128 * 4

    def held_bytes(**changes: object) -> int:
        return banks.with_banks(data, replace(setting, **{"cost": COST, **changes}), gpu).held_bytes  # type: ignore[arg-type]

    assert held_bytes() == held_bytes(gpu_share=0.25) == size
    assert held_bytes(gpu_share=0.15) == 0  # 12 GiB: the training takes 10, and CUDA 2
    assert held_bytes(cost=None) == held_bytes(cost=make_cost().model_copy(update={"eval_peak_bytes": None})) == 0
    exactly = (10 * GIB + GPU_EXTRA + size) / (80 * GIB)
    assert held_bytes(gpu_share=exactly) == size
    assert held_bytes(gpu_share=exactly - 1e-7) == 0
    compiled = replace(setting.options, compile=True)  # recorded steps keep the memory of training in evaluation
    assert held_bytes(gpu_share=exactly, options=compiled) == 0
    gpu.free = 11 * GIB  # a neighbour has the rest
    assert held_bytes() == 0


def test_a_full_gpu_holds_none_and_another_error_is_not_hidden(
    make_request: Make, setting: Setting, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, setting = assemble(make_request(), setting).data, replace(setting, cost=COST)

    def fail(error: Exception) -> Callable[..., None]:
        def hold(*_: object) -> None:
            raise error

        return hold

    monkeypatch.setattr(banks, "hold", fail(torch.OutOfMemoryError("CUDA out of memory")))
    assert banks.with_banks(data, setting, gpu) is data  # type: ignore[arg-type]
    monkeypatch.setattr(banks, "hold", fail(RuntimeError("CUDA error: an illegal memory access")))
    with pytest.raises(RuntimeError, match="illegal"):
        banks.with_banks(data, setting, gpu)  # type: ignore[arg-type]


def test_the_room_is_what_packing_leaves() -> None:
    assert room_for_banks(0.5, 80 * GIB, 80 * GIB, COST, recorded=False) == 40 * GIB - 10 * GIB - GPU_EXTRA
    assert reserved_bytes(COST, recorded=True) == MARGIN * 12 * GIB
    assert reserved_bytes(None, recorded=False) == 0
    assert room_for_banks(0.01, 80 * GIB, 80 * GIB, COST, recorded=False) == 0


def test_a_reused_process_keeps_no_banks(
    make_request: Make, setting: Setting, held: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (15, 64, 128)
    seen: list[bool] = []

    def alive() -> bool:
        return any(isinstance(item, torch.Tensor) and item.shape == shape for item in gc.get_objects())

    assert attempt_trial(make_request(), setting, lambda _: seen.append(alive())).status == "completed"
    assert seen == [True, True]
    assert not alive()


def test_peaks_of_memory_are_those_of_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Iterator[int] = iter([110, 120, 130, 140])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: next(found))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda _: next(found))
    memory = PeakMemory(torch.device("cuda"))
    memory.left_out = 100
    with memory.in_training():
        pass
    with memory.in_evaluation():
        pass
    memory.training_takes(115)
    assert memory.training is not None
    assert memory.evaluation is not None
    assert (memory.training.allocated, memory.training.reserved) == (15, 20)
    assert (memory.evaluation.allocated, memory.evaluation.reserved) == (30, 40)
