"""Set up the device of a trial, and release its memory."""

from __future__ import annotations

import gc
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmark.trial.setting import Setting

logger = logging.getLogger(__name__)

# What libraries say when they find no memory for themselves. A handle that cannot be created says "not initialized".
_OUT_OF_MEMORY = re.compile(
    r"CUDA error: out of memory|DefaultCPUAllocator: can't allocate memory"
    r"|CUBLAS_STATUS_ALLOC_FAILED|CUBLAS_STATUS_NOT_INITIALIZED when calling `?cublas(Lt)?Create"
    r"|CUDNN_STATUS_ALLOC_FAILED|CUDNN_STATUS_NOT_INITIALIZED|CUDNN_STATUS_INTERNAL_ERROR_\w*ALLOCATION_FAILED"
    r"|CUSOLVER_STATUS_(ALLOC_FAILED|NOT_INITIALIZED)|CUFFT_ALLOC_FAILED"
)
_CUDA_ERROR = re.compile(r"CUDA error|CUDNN_STATUS_|CUBLAS_STATUS_|CUSOLVER_STATUS_|CUFFT_|CUSPARSE_STATUS_")

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


def device_name(device: torch.device) -> str:
    """Return the name that records use."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def allocator_share(share: float, total: int) -> float:
    """Return the part of a GPU that a trial's tensors may fill: CUDA itself takes some of the trial's share.

    Args:
        share: the trial's part of the GPU, 0 to 1.
        total: bytes of the GPU's memory.
    """
    return max(share - CUDA_BYTES / total, share / 2) if 0 < share < 1 else 1.0


@contextmanager
def trial_memory() -> Iterator[None]:
    """Release the memory of a trial at its end, so that the next trial of this process finds it.

    What exists before the trial is set aside: to look through all objects of the libraries takes a third of a second.
    """
    gc.freeze()
    try:
        yield
    finally:
        free_memory()
        gc.unfreeze()


def free_memory() -> None:
    """Release memory that nothing uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        try:
            torch.cuda.empty_cache()
        except RuntimeError as error:  # after a CUDA error: it must not hide the error of the trial
            logger.info("GPU memory was not released: %s", error)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the GPU's or the host's memory is full."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and bool(_OUT_OF_MEMORY.search(str(error)))


def breaks_cuda(error: BaseException) -> bool:
    """Return whether CUDA may be unusable in this process after an error, so that every later trial would fail, too."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, torch.AcceleratorError):
            return not is_out_of_memory(cause)
        if isinstance(cause, RuntimeError) and _CUDA_ERROR.search(str(cause)):
            return not is_out_of_memory(cause)
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return False


def _set_determinism(deterministic: bool) -> None:
    """Switch algorithms that repeat bit for bit on a GPU on or off.

    They are slower, and an operation that has no such algorithm raises an error. A CPU repeats in any case.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, when CUDA starts
    if torch.are_deterministic_algorithms_enabled() != deterministic:  # the next line imports torch's compiler
        torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
