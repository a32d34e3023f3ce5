"""The device for work in this process."""

from __future__ import annotations

from benchmark.errors import BenchmarkError


def choose_device(given: str | None) -> str:
    """Return `cpu` or `cuda`: as given, else `cuda` if there is a GPU.

    Raises:
        BenchmarkError: neither `cpu` nor `cuda`, or there is no GPU.
    """
    import torch

    if given not in {None, "cpu", "cuda"}:
        raise BenchmarkError(f"--device {given}: expected cpu or cuda")
    if given == "cuda" and not torch.cuda.is_available():
        raise BenchmarkError("--device cuda: torch finds no GPU here; `doctor` says more")
    return given or ("cuda" if torch.cuda.is_available() else "cpu")
