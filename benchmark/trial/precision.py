"""Precision of a trial's arithmetic, and of the weights that it leaves as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn


@dataclass(frozen=True)
class Precision:
    """Arithmetic of a recipe's precision on a device: `amp` is float16 autocast on a GPU and float32 on a CPU."""

    device: torch.device
    requested: Literal["amp", "float32"]

    @property
    def half(self) -> bool:
        """Return True when float16 autocast is used."""
        return self.requested == "amp" and self.device.type == "cuda"

    @property
    def name(self) -> str:
        """Return the name that records use."""
        return "float16 autocast" if self.half else "float32"

    def autocast(self, *, keep_casts: bool = True) -> torch.autocast:
        """Return the context of a forward pass.

        Args:
            keep_casts: whether a weight that is used twice is cast once; not possible in a CUDA graph.
        """
        return torch.autocast(self.device.type, dtype=torch.float16, enabled=self.half, cache_enabled=keep_casts)


def halve_frozen(model: nn.Module) -> None:
    """Convert frozen weights of linear layers and convolutions to float16.

    Under float16 autocast this changes no result: autocast would convert them in every step, and keep the copies for
    the backward pass.

    Args:
        model: used under float16 autocast only.
    """
    for layer in _plain_layers(model):
        for parameter in layer.parameters(recurse=False):
            if not parameter.requires_grad:
                parameter.data = parameter.data.half()


def _plain_layers(module: nn.Module) -> Iterator[nn.Module]:
    """Yield linear layers and convolutions of the suite's own models.

    A method's modules are left out with all they contain: they may use a frozen weight otherwise than its layer does,
    such as its norm (DoRA).
    """
    for child in module.children():
        if type(child) in {nn.Linear, nn.Conv2d}:
            yield child
        elif type(child).__module__.startswith(("torch.nn.", "benchmark.models.")):
            yield from _plain_layers(child)
