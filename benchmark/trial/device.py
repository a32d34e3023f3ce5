"""Set up the device of a trial, and release its memory."""

from __future__ import annotations

import gc
import os

import torch

from benchmark.trial.setting import Setting

CUDA_BYTES = 700 * 2**20  # GPU memory that each process takes besides its tensors; 685 MiB on an H100


def set_up_device(setting: Setting) -> torch.device:
    """Set threads, determinism, default type and memory limit for a trial, and return its device."""
    torch.set_num_threads(setting.threads)
    _set_determinism(setting.options.deterministic)
    torch.set_default_dtype(torch.float32)  # an earlier trial of this process may have changed it
    device = torch.device(setting.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        # With a limit, a trial that needs more than its share fails alone instead of making its neighbours fail.
        total = torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction(allocator_share(setting.gpu_share, total))
    return device


def allocator_share(share: float, total: int) -> float:
    """Return the part of a GPU that a trial's tensors may fill: CUDA itself takes some of the trial's share.

    Args:
        share: the trial's part of the GPU, 0 to 1.
        total: bytes of the GPU's memory.
    """
    return max(share - CUDA_BYTES / total, share / 2) if 0 < share < 1 else 1.0


def free_memory() -> None:
    """Release memory that a finished trial no longer uses, so that the next trial of this process finds it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _set_determinism(deterministic: bool) -> None:
    """Switch algorithms that repeat bit for bit on a GPU on or off.

    They are slower, and an operation that has no such algorithm raises an error. A CPU repeats in any case.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, when CUDA starts
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
