"""What one trial runs on, and how fast it is."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmark.data.parallel import usable_cores
from benchmark.planning.packing import gpus_here, node_here, share

GEMM = 1024
GEMM_SECONDS = 0.2


@dataclass(frozen=True)
class Machine:
    """What a trial runs on.

    Attributes:
        device: name of the GPU, or `cpu`.
        threads: CPU threads of one trial.
    """

    device: str
    threads: int


def machine_here(threads: int | None = None) -> Machine:
    """Return this machine as one trial sees it; `threads` are by default the cores that a trial gets."""
    gpus = gpus_here()
    asked = threads or share([node_here()], None, None, exclusive=False).cpus
    return Machine(gpus[0][0] if gpus else "cpu", min(asked, usable_cores()))


def matrix_product_speed(machine: Machine) -> float:
    """Return operations per second of a matrix product on this machine, in the precision of training."""
    import torch

    cuda = machine.device != "cpu"
    before = torch.get_num_threads()
    torch.set_num_threads(machine.threads)
    try:
        matrix = torch.ones(
            GEMM, GEMM, device="cuda" if cuda else "cpu", dtype=torch.float16 if cuda else torch.float32
        )
        matrix @ matrix
        began, times = time.perf_counter(), 0
        while time.perf_counter() - began < GEMM_SECONDS:
            matrix @ matrix
            if cuda:
                torch.cuda.synchronize()
            times += 1
        return times * 2 * GEMM**3 / (time.perf_counter() - began)
    finally:
        torch.set_num_threads(before)
