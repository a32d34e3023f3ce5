"""What one trial runs on, and how fast it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark import mps, nvml
from benchmark.data.parallel import torch_threads, usable_cores
from benchmark.planning.node import node_here
from benchmark.planning.packing import share
from benchmark.records.environment import EAGER, checkpointing, compilation
from benchmark.records.schema import SharingProfile, StepProfile

GEMM_SECONDS = 0.2
CPU_GEMM, GPU_GEMM = 1024, 8192  # on a GPU, a small product measures the time of its launch
AT_ONCE = 8  # products before a GPU is waited for


@dataclass(frozen=True)
class Machine:
    """What a trial runs on.

    Attributes:
        device: name of the GPU, or `cpu`.
        threads: CPU threads of one trial.
        compiled: whether training is compiled.
        checkpointing: whether activations are computed again in the backward pass.
        mps: whether trials share a GPU by NVIDIA's Multi-Process Service.
    """

    device: str
    threads: int
    compiled: bool = False
    checkpointing: bool = False
    mps: bool = False

    @property
    def has_gpu(self) -> bool:
        """Return True when trials run on a GPU."""
        return self.device != "cpu"

    def has_timed(self, profile: StepProfile) -> bool:
        """Return True when a step was timed on this machine. On a GPU, the number of threads does not matter."""
        same = self.is_like(profile.device, profile.environment) and (self.has_gpu or profile.threads == self.threads)
        return same and profile.step_seconds is not None

    def has_shared(self, profile: SharingProfile) -> bool:
        """Return True when it was measured what trials gain that share this GPU; on a CPU, each has its own cores."""
        return self.has_gpu and self.mps == profile.mps and self.is_like(profile.device, profile.environment)

    def is_like(self, device: str, environment: Mapping[str, Any]) -> bool:
        """Return True when something was measured on such a device, and training ran as here."""
        ran = compilation(environment) != EAGER, checkpointing(environment)
        return device == self.device and (self.compiled, self.checkpointing) == ran


def machine_here(cpus: int | None = None, gpus: float | None = None) -> Machine:
    """Return this machine as one trial sees it.

    Args:
        cpus: cores of a trial, which are its threads; None for those that it gets by default.
        gpus: GPUs of a trial; 0 uses none.
    """
    names = [name for name, _ in nvml.gpus()] if gpus != 0 else []
    threads = cpus or share([node_here()], None, None if names else 0, exclusive=False).cpus
    return Machine(names[0] if names else "cpu", min(threads, usable_cores()), mps=bool(names) and mps.is_running())


def matrix_product_speed(machine: Machine) -> float:
    """Return operations per second of a matrix product on this machine, in the precision of training."""
    import torch

    from benchmark.trial.matrix_products import fast_products

    if machine.has_gpu:
        try:
            return _product_speed("cuda", GPU_GEMM, AT_ONCE)
        finally:
            torch.cuda.empty_cache()  # the trials need it
    with torch_threads(machine.threads), fast_products():
        return _product_speed("cpu", CPU_GEMM, 1)


def _product_speed(device: str, size: int, at_once: int) -> float:
    """Return operations per second of a product of square matrices: float16 on a GPU, float32 on a CPU.

    Args:
        device: `cpu` or `cuda`.
        size: rows of the matrices.
        at_once: products that are started before the device is waited for.
    """
    import torch

    cuda = device == "cuda"
    matrix = torch.ones(size, size, device=device, dtype=torch.float16 if cuda else torch.float32)

    def multiply() -> None:
        for _ in range(at_once):
            matrix @ matrix
        if cuda:
            torch.cuda.synchronize()

    multiply()  # the first one also loads the library
    began, times = time.perf_counter(), 0
    while (seconds := time.perf_counter() - began) < GEMM_SECONDS:
        multiply()
        times += at_once
    return times * 2 * size**3 / seconds
