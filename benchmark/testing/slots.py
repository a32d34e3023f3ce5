"""Whether the slots of a backbone are linear layers, and are what their names say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from benchmark.models.contract import SLOTS, Slot, SlotName
from benchmark.models.transformer import AudioTransformer

TOLERANCE = 1e-9  # in float64
TOKENS = 5


def slot_fault(model: AudioTransformer) -> str | None:
    """Return what is wrong with the slots of a model, in one line; None if nothing is.

    Each slot is set to zeros in turn, which must have the consequence that its name says.

    Args:
        model: in float64, with random biases.
    """
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, TOKENS, model.width, generator=random, dtype=torch.float64)
    for layer in model.layers:
        for look in (_linear_fault, _meaning_fault):  # the second needs layers of all slots
            for name in SLOTS:
                try:
                    fault = look(model, layer, name, x)
                except (AttributeError, KeyError) as error:
                    fault = f"no such layer ({error})"
                if fault:
                    where = f" ({model.SLOTS[name].path})" if name in model.SLOTS else ""
                    return f"slot '{name}' of block {layer}{where}: {fault}"
    return None


def _linear_fault(model: AudioTransformer, number: int, name: SlotName, tokens: torch.Tensor) -> str | None:
    """Return why a slot's layer is no linear layer with the stated parts, of the width of tokens on its outer side."""
    slot = model.slots(number)[name]
    layer = model.get_submodule(slot.path)
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if not isinstance(weight, torch.Tensor) or weight.dim() != 2:
        return f"{type(layer).__name__} has no weight of two dimensions"
    outputs, inputs = weight.shape
    outer, side = (outputs, "outputs") if name in {"o", "down"} else (inputs, "inputs")
    if outer != tokens.shape[-1]:
        return f"has {outer} {side}, but tokens have {tokens.shape[-1]} channels"
    if not 0 <= slot.part < slot.of or outputs % slot.of:
        return f"part {slot.part} of {slot.of} is stated, but the layer has {outputs} outputs"
    x = torch.randn(3, inputs, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        try:
            found = layer(x)
        except RuntimeError as error:
            return f"does not take {inputs} inputs ({error})"
        expected = nn.functional.linear(x, weight, bias)
    return None if _equal(found, expected) else "its output is not weight times input plus bias: it is not linear"


def _meaning_fault(model: AudioTransformer, layer: int, name: SlotName, x: torch.Tensor) -> str | None:
    """Return what a sub-layer computes against its meaning when a slot gives zeros."""
    block = model.blocks[layer]
    is_attention = name in {"q", "k", "v", "o"}
    sublayer = block.get_submodule(model.ATTENTION if is_attention else model.MLP)
    last = model.get_submodule(model.slots(layer)["o" if is_attention else "down"].path)
    bias = last.bias if isinstance(last.bias, torch.Tensor) else torch.zeros(x.shape[-1], dtype=x.dtype)
    with torch.no_grad():
        before: torch.Tensor = sublayer(x)
        with _zeros(model, model.slots(layer)[name], keep_bias=name in {"o", "down"}):
            after: torch.Tensor = sublayer(x)
    if name in {"o", "down", "v"}:
        what = "attention" if is_attention else "MLP"
        return None if _equal(after, bias.expand_as(after)) else f"with zeros, the {what}'s output is not the bias"
    if name == "up":
        return None if _equal(after, after[:1, :1].expand_as(after)) else "with zeros, the MLP still sees its input"
    if not _equal(after, after[:, :1].expand_as(after)):
        return "with zeros, tokens do not attend equally to all tokens"
    return "has no effect on the attention" if _equal(before, after) else None


@contextmanager
def _zeros(model: AudioTransformer, slot: Slot, *, keep_bias: bool) -> Iterator[None]:
    """Set weight and bias of a slot to zeros inside the context."""
    layer = model.get_submodule(slot.path)
    found = [layer.weight] if keep_bias or layer.bias is None else [layer.weight, layer.bias]
    tensors = [tensor for tensor in found if isinstance(tensor, torch.Tensor)]
    before = [tensor.detach().clone() for tensor in tensors]
    try:
        with torch.no_grad():
            for tensor in tensors:
                tensor.chunk(slot.of)[slot.part].zero_()
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and bool((one - other).abs().max() <= TOLERANCE)
