"""Which GPUs this process may use: CUDA_VISIBLE_DEVICES and MIG decide, not NVML's list of all cards."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pynvml
import pytest

from benchmark import nvml
from benchmark.planning.machine import machine_here
from benchmark.planning.node import node_here
from benchmark.tools.doctor import examine_gpu

GIB = 2**30
A, B, C = "GPU-aaaa-1111", "GPU-aaaa-2222", "GPU-cccc-3333"


class FakeNvml:
    """The functions of pynvml that are used; cards are (uuid, name, GiB, instances or None without MIG)."""

    NVMLError = pynvml.NVMLError

    def __init__(self, *cards: tuple[str, str, int, list[tuple[str, int]] | None]) -> None:
        self.cards = [
            SimpleNamespace(
                uuid=uuid, name=name, size=size,
                parts=None if parts is None else [
                    SimpleNamespace(uuid=part, name=f"{name} MIG", size=part_size) for part, part_size in parts
                ],
            )
            for uuid, name, size, parts in cards
        ]  # fmt: skip

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.cards:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.cards)

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "575.1"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> SimpleNamespace:  # noqa: N802
        if self.cards[index].name == "lost":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return self.cards[index]

    def nvmlDeviceGetName(self, handle: SimpleNamespace) -> str:  # noqa: N802
        return str(handle.name)

    def nvmlDeviceGetUUID(self, handle: SimpleNamespace) -> str:  # noqa: N802
        return str(handle.uuid)

    def nvmlDeviceGetMemoryInfo(self, handle: SimpleNamespace) -> SimpleNamespace:  # noqa: N802
        if getattr(handle, "parts", None) is not None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)  # of a card in MIG mode, in a container
        if handle.name == "shared":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)  # CPU and GPU have one memory
        return SimpleNamespace(total=handle.size * GIB)

    def nvmlDeviceGetMigMode(self, handle: SimpleNamespace) -> tuple[int, int]:  # noqa: N802
        if handle.name == "old":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return (0, 0) if handle.parts is None else (1, 1)

    def nvmlDeviceGetMaxMigDeviceCount(self, _: SimpleNamespace) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: SimpleNamespace, index: int) -> SimpleNamespace:  # noqa: N802
        if index % 2 or index // 2 >= len(handle.parts):  # instances need not have the first numbers
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        part: SimpleNamespace = handle.parts[index // 2]
        return part


PLAIN = FakeNvml((A, "old", 24, None), (B, "card", 40, None), (C, "card", 80, None))
MIG = FakeNvml((A, "card", 80, [("MIG-11", 10), ("MIG-12", 20)]), (C, "card", 80, [("MIG-31", 40)]))
MIXED = FakeNvml((A, "card", 80, None), (C, "card", 80, [("MIG-31", 40)]))
SHARED = FakeNvml((A, "shared", 0, None))
ONE_LOST = FakeNvml((A, "card", 40, None), (B, "lost", 0, None), (C, "card", 80, None))
EMPTY_MIG = FakeNvml((A, "card", 80, []), (C, "card", 24, None))


@pytest.mark.parametrize(
    ("fake", "variable", "expected"),
    [
        (PLAIN, None, [24, 40, 80]),
        (PLAIN, "", []),
        (PLAIN, "-1", []),
        (PLAIN, "NoDevFiles", []),
        (PLAIN, "none", []),
        (PLAIN, "2", [80]),
        (PLAIN, "2,0", [80, 24]),
        (PLAIN, " 1 , 2 ", [40, 80]),
        (PLAIN, "0,7,1", [24]),  # nothing counts after the first invalid one
        (PLAIN, "0,-1,1", [24]),
        (PLAIN, "1,1", []),  # as CUDA does
        (PLAIN, C, [80]),
        (PLAIN, f"{C},{B}", [80, 40]),
        (PLAIN, "GPU-c", [80]),  # a beginning is enough
        (PLAIN, "GPU-aaaa", []),  # of two
        (PLAIN, f"{C},GPU-nothing,{B}", [80]),
        (PLAIN, f"{C},0", [80, 24]),
        (PLAIN, f"{C},2", []),  # twice the same
        (MIG, None, [10, 20, 40]),
        (MIG, "", []),
        (MIG, "0", [10]),  # CUDA shows a process the first instance of a card
        (MIG, "1", [40]),
        (MIG, "MIG-12", [20]),
        (MIG, "MIG-11,MIG-12,MIG-31", [10, 20, 40]),  # each worker gets one of them
        (MIG, C, [40]),
        (MIXED, None, [80, 40]),
        (MIXED, "0", [80]),
        (EMPTY_MIG, None, [24]),
        (EMPTY_MIG, A, []),  # such a card can compute nothing
        (FakeNvml(), None, []),
    ],
)
def test_gpus_are_those_that_cuda_shows(
    fake: FakeNvml, variable: str | None, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvml, "_library", lambda: fake)
    if variable is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert [size / GIB for _, size in nvml.gpus()] == expected
    node = node_here()
    assert node.gpus == len(expected)
    assert node.gpu_bytes == (min(expected) * GIB if expected else None)
    assert machine_here().has_gpu == bool(expected)


@pytest.mark.parametrize(
    ("fake", "sizes"),
    [
        (SHARED, [None]),
        (FakeNvml((A, "card", 40, None), (B, "shared", 0, None)), [40 * GIB, None]),
        (ONE_LOST, [40 * GIB, 80 * GIB]),
    ],
)
def test_a_card_with_an_unknown_memory_is_used_and_a_lost_one_does_not_hide_the_others(
    fake: FakeNvml, sizes: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvml, "_library", lambda: fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [size for _, size in nvml.gpus()] == sizes
    node = node_here()
    assert node.gpus == len(sizes)
    assert node.gpu_bytes == (None if None in sizes else min(size or 0 for size in sizes))
    assert machine_here().has_gpu


def test_doctor_names_gpus_that_torch_sees_and_the_driver_does_not_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "_library", lambda: FakeNvml((A, "lost", 0, None)))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    found = examine_gpu()
    assert found.verdict == "warning"
    assert "torch sees 1 GPU, but the driver's library lists 0" in found.text


@pytest.mark.parametrize(
    ("fake", "variable", "verdict", "said"),
    [
        (PLAIN, "", "ok", "CUDA_VISIBLE_DEVICES='' hides all of 3 GPUs; trials run on the CPU"),
        (PLAIN, "9", "warning", "CUDA_VISIBLE_DEVICES='9' names none of 3 GPUs; trials run on the CPU"),
        (EMPTY_MIG, A, "warning", "names none of 2 GPUs"),
        (FakeNvml(), "0", "ok", "none; trials run on the CPU"),
    ],
)
def test_doctor_says_why_no_gpu_is_used(
    fake: FakeNvml, variable: str, verdict: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvml, "_library", lambda: fake)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    found = examine_gpu()
    assert found.verdict == verdict
    assert said in found.text


@pytest.mark.parametrize(
    ("fake", "before", "after"),
    [
        (MIG, None, "MIG-11,MIG-12,MIG-31"),
        (MIXED, None, f"{A},MIG-31"),
        (EMPTY_MIG, None, C),
        (MIG, "1", "1"),
        (PLAIN, None, None),
        (FakeNvml(), None, None),
    ],
)
def test_instances_are_named_for_ray_and_choices_of_the_user_kept(
    fake: FakeNvml, before: str | None, after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvml, "_library", lambda: fake)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before or "")
    if before is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    all_gpus = nvml.gpus()
    nvml.name_instances()
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == after
    assert nvml.gpus() == all_gpus
