"""Build models on meta tensors: shapes without values, to count parameters and operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# Functions that initialize a tensor in place. They change no shape, and on meta tensors they take nearly all the time.
FILLING = {"uniform_", "normal_", "erfinv_", "mul_", "add_", "clamp_", "fill_", "zero_", "copy_"}


class _NoFilling(TorchFunctionMode):
    """Skip functions that fill meta tensors."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        filled = args[0] if args else named.get("tensor")
        if func.__name__ in FILLING and isinstance(filled, torch.Tensor) and filled.is_meta:
            return filled
        return func(*args, **named)


@contextmanager
def abstract_tensors() -> Iterator[None]:
    """Create tensors on the meta device inside the context, without initializing them."""
    with torch.device("meta"), _NoFilling():
        yield
