"""Precision of a trial's arithmetic, and of the weights that it leaves as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from benchmark.spec.recipe import TrainingPrecision
from benchmark.trial.frozen import is_made

NAMES = {None: "float32", torch.float16: "float16 autocast", torch.bfloat16: "bfloat16 autocast"}


def autocast_type(requested: TrainingPrecision, device_type: str) -> torch.dtype | None:
    """Return the type that autocast computes in on a kind of device; None without autocast.

    Args:
        requested: `precision` of a recipe.
        device_type: `cpu` or `cuda`.
    """
    if requested == "bf16":
        return torch.bfloat16
    return torch.float16 if requested == "amp" and device_type == "cuda" else None


@dataclass(frozen=True)
class Precision:
    """Arithmetic of a recipe's precision on a device.

    Attributes:
        device: where the arithmetic is done.
        requested: `amp` is float16 autocast on a GPU and float32 on a CPU, `bf16` bfloat16 autocast on both.
        tf32: whether float32 matrix products on a GPU may use TF32.
    """

    device: torch.device
    requested: TrainingPrecision
    tf32: bool = False

    @property
    def half(self) -> torch.dtype | None:
        """Return the half-precision type of autocast; None without autocast."""
        return autocast_type(self.requested, self.device.type)

    @property
    def scales_loss(self) -> bool:
        """Return True when small gradients would be lost: float16 has fewer exponents than bfloat16 and float32."""
        return self.half == torch.float16

    @property
    def name(self) -> str:
        """Return the name that records use."""
        return NAMES[self.half]

    def autocast(self, *, keep_casts: bool = True) -> torch.autocast:
        """Return the context of a forward pass.

        Args:
            keep_casts: whether a weight that is used twice is cast once; not possible in a CUDA graph.
        """
        half = self.half
        return torch.autocast(
            self.device.type, dtype=half or torch.float16, enabled=half is not None, cache_enabled=keep_casts
        )

    @contextmanager
    def float32_products(self) -> Iterator[None]:
        """Allow or forbid TF32 in float32 matrix products on a GPU; restore the setting of the process at the end.

        Convolutions keep torch's default, which has always been TF32.
        """
        setting = torch.backends.cuda.matmul
        before = setting.allow_tf32
        setting.allow_tf32 = self.tf32
        try:
            yield
        finally:
            setting.allow_tf32 = before


def halve_frozen(model: nn.Module, half: torch.dtype) -> None:
    """Convert frozen weights of linear layers and convolutions to half precision.

    Under autocast this changes no result: autocast would convert them in every step, and keep the copies for the
    backward pass. What a method made or changed stays, as it is stored with the trained weights.

    Args:
        model: used under autocast only.
        half: autocast's type.
    """
    for layer in _plain_layers(model):
        for parameter in layer.parameters(recurse=False):
            if not parameter.requires_grad and not is_made(parameter):
                parameter.data = parameter.data.to(half)


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
