"""What a method makes and does not train, and how it comes back in another process or on another device.

A trial makes it again from its seed. Parameters and buffers are stored with the trained ones, because values that are
computed (PiSSA's rest of a weight, by a singular value decomposition) may differ by rounding on another machine. Some
tuners of peft keep tensors in plain attributes of modules (FourierFT's places), which a digest proves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

from benchmark.models.unregistered import unregistered

Marks = dict[int, str]  # digest of its values by identity of a parameter


def marks_of(model: torch.nn.Module) -> Marks:
    """Return what shows later whether a parameter is new or has changed; on meta tensors, new ones only."""
    return {id(parameter): _mark(parameter) for parameter in model.parameters()}


def mark_made(model: torch.nn.Module, before: Marks) -> None:
    """Mark the frozen parameters that are new or have changed, for `is_made`.

    Args:
        model: after its method has adapted it.
        before: `marks_of` the model before.
    """
    for parameter in model.parameters():
        if not parameter.requires_grad and before.get(id(parameter)) != _mark(parameter):
            parameter.made_by_method = True  # type: ignore[attr-defined]


def is_made(parameter: torch.nn.Parameter) -> bool:
    """Return whether a method made or changed a parameter that it does not train."""
    return getattr(parameter, "made_by_method", False)


def attribute_digest(model: torch.nn.Module) -> str | None:
    """Return the digest of tensors in plain attributes of modules; None if there are none."""
    hidden = {found.place: found.value for found in unregistered(model) if isinstance(found.value, torch.Tensor)}
    return tensor_digest({place: tensor.detach().cpu() for place, tensor in hidden.items()}) if hidden else None


def tensor_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the sha256 over name, type, shape and bytes of CPU tensors, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _mark(parameter: torch.Tensor) -> str:
    return "" if parameter.is_meta else tensor_digest({"": parameter.detach().cpu()})
