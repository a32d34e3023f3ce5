"""Matrix products of training and evaluation on AMD processors.

torch computes float32 products by Intel's MKL, which leaves AVX-512 unused on AMD's processors. oneDNN, which torch
contains as well, uses it: two cores of an EPYC then do 2.2 times as many operations per second. Results differ by
rounding.
"""

from __future__ import annotations

import functools
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)

SMALLEST = 2**22  # multiplications of a product from which oneDNN gains more than the call from Python takes
CPU_INFO = Path("/proc/cpuinfo")
NO_ACTIVATION: tuple[str, list[float], str] = ("none", [], "")


@functools.cache
def is_by_onednn() -> bool:
    """Return whether this processor's products are computed by oneDNN."""
    contained = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return contained and torch.backends.cpu.get_cpu_capability() == "AVX512" and _is_amd()


def library() -> str:
    """Return the library of large products, and the instructions that it may use, as records say it."""
    built_with = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    name = "onednn" if is_by_onednn() else built_with[1] if built_with else "unknown"
    return f"{name} {torch.backends.cpu.get_cpu_capability()}"


@contextmanager
def fast_products() -> Iterator[None]:
    """Compute large float32 products of matrices by the faster library inside, those of backward passes included."""
    if not is_by_onednn():
        yield
        return
    _Kernels.use()
    try:
        yield
    finally:
        _Kernels.release()


class _Kernels:
    """The replaced kernels of this process, as long as one of its threads uses them."""

    lock = threading.Lock()
    users = 0
    library: torch.library.Library | None = None

    @classmethod
    def use(cls) -> None:
        """Replace torch's kernels, unless that is done."""
        with cls.lock:
            cls.users += 1
            if cls.library is None:
                cls.library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="(?s).*Overriding a previously registered kernel")
                    cls.library.impl("mm", _mm, "CPU", allow_override=True)  # type: ignore[no-untyped-call]
                    cls.library.impl("addmm", _addmm, "CPU", allow_override=True)  # type: ignore[no-untyped-call]

    @classmethod
    def release(cls) -> None:
        """Restore torch's kernels after the last user."""
        with cls.lock:
            cls.users -= 1
            if not cls.users and cls.library:
                cls.library._destroy()  # type: ignore[no-untyped-call]
                cls.library = None


def with_fast_products(model: Model) -> Model:
    """Let the calls of a model compute as those of a trial do, wherever it is called; its backward passes do not."""
    calls = _Calls()
    model.register_forward_pre_hook(calls.begin)
    model.register_forward_hook(calls.end, always_call=True)
    return model


class _Calls:
    """Does what `fast_products` does, before and after the calls of a model. A class: models are copied and pickled."""

    def begin(self, *_: object) -> None:
        """Before a call."""
        if is_by_onednn():
            _Kernels.use()

    def end(self, *_: object) -> None:
        """After a call, also after one that failed."""
        if is_by_onednn():
            _Kernels.release()


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in CPU_INFO.read_text()
    except OSError:
        return False


def _is_large(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first.dtype == torch.float32 and first.numel() * second.shape[1] >= SMALLEST


def _by_onednn(first: torch.Tensor, second: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(first, second.t(), bias, *NO_ACTIVATION)
    return product


def _mm(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """(M, K), (K, N) -> (M, N)."""
    if _is_large(first, second):
        return _by_onednn(first, second, None)
    out = first.new_empty(first.shape[0], second.shape[1])
    return torch.mm(first, second, out=out)  # torch's own kernel: only the one without `out` is replaced


def _addmm(
    added: torch.Tensor, first: torch.Tensor, second: torch.Tensor, *, beta: float = 1, alpha: float = 1
) -> torch.Tensor:
    """(N,) or (M, N) to add, (M, K), (K, N) -> (M, N)."""
    if added.shape == second.shape[1:] and beta == alpha == 1 and _is_large(first, second):
        return _by_onednn(first, second, added)
    out = first.new_empty(first.shape[0], second.shape[1])
    return torch.addmm(added, first, second, beta=beta, alpha=alpha, out=out)
