"""Merge what a method inserted into the layers of the backbone, where that is possible."""

from __future__ import annotations

import copy
import sys
from typing import Any

import torch
from torch import nn

from benchmark.errors import first_line
from benchmark.models.attach import added_to, remove_added
from benchmark.models.attention import Attention
from benchmark.models.linear import LowRank, ScaleShift
from benchmark.models.transformer import AudioTransformer

# modules that merge, by whether they are in parallel with their host, and the hosts that they merge with
MERGES: dict[tuple[type[nn.Module], bool], tuple[type[nn.Module], ...]] = {
    (LowRank, True): (nn.Linear,),
    (ScaleShift, False): (nn.Linear, nn.LayerNorm, nn.Conv2d),
}


def merged(model: AudioTransformer) -> AudioTransformer:
    """Return a copy without inserted modules that computes the same; the model stays as it is.

    Args:
        model: the adapted model.

    Raises:
        ValueError: what the method inserted cannot be merged; the message says what.
    """
    if model.prompt_tokens:
        raise ValueError("it has prompt tokens")
    if any(isinstance(module, Attention) and module.prefix is not None for module in model.modules()):
        raise ValueError("it has learnable keys and values (a prefix)")
    plain = copy.deepcopy(model)
    with torch.no_grad():
        wrappers = _wrappers(plain)
        for host in [module for module in plain.modules() if module not in wrappers.values()]:
            added = added_to(host)
            remove_added(plain, host)
            _merge(added, host)
        for path, wrapper in wrappers.items():
            added, base = added_to(wrapper), _unwrapped(wrapper)
            owner, _, name = path.rpartition(".")
            setattr(plain.get_submodule(owner), name, base)
            _merge(added, base)
    return plain


def _merge(added: list[tuple[nn.Module, bool]], host: nn.Module) -> None:
    """Merge modules that act on a host's output into the host.

    Args:
        added: the modules in their order, and whether each is in parallel with the host.
        host: a layer.

    Raises:
        ValueError: one of them cannot be merged.
    """
    for module, parallel in added:
        if not isinstance(host, MERGES.get((type(module), parallel), ())):
            raise ValueError(f"modules of the class {type(module).__name__} cannot be merged into a layer")
        weight, bias = module.merged(host.weight, host.bias)  # type: ignore[operator]
        host.register_parameter("weight", nn.Parameter(weight))
        host.register_parameter("bias", None if bias is None else nn.Parameter(bias))


def _wrappers(model: nn.Module) -> dict[str, Any]:
    """Return the layers that a tuner of peft wraps, by their paths."""
    if "peft" not in sys.modules:  # no model has them then
        return {}
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {path: module for path, module in model.named_modules() if isinstance(module, BaseTunerLayer)}


def _unwrapped(wrapper: Any) -> nn.Module:
    """Return the layer that a tuner of peft wraps, with what the tuner trained.

    Raises:
        ValueError: the tuner cannot be merged.
    """
    try:
        wrapper.merge(safe_merge=True)
        base: nn.Module = wrapper.get_base_layer()
    except Exception as error:  # whatever a tuner says that cannot be merged
        raise ValueError(f"its tuner of peft cannot be merged into a layer ({first_line(error)})") from None
    return base
