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
        tuned = _wrappers(plain)
        _merge_added(plain, [module for module in plain.modules() if module not in tuned.values()])
        for path, wrapper in tuned.items():
            _unwrap(plain, path, wrapper)
    return plain


def _merge_added(model: nn.Module, hosts: list[nn.Module]) -> None:
    """Merge the modules that act on the outputs of hosts, and remove them."""
    for host in hosts:
        for module, parallel in added_to(host):
            if not isinstance(host, MERGES.get((type(module), parallel), ())):
                raise ValueError(f"modules of the class {type(module).__name__} cannot be merged into a layer")
            weight, bias = module.merged(host.weight, host.bias)  # type: ignore[operator]
            host.weight, host.bias = nn.Parameter(weight), None if bias is None else nn.Parameter(bias)
        remove_added(model, host)


def _wrappers(model: nn.Module) -> dict[str, Any]:
    """Return the layers that a tuner of peft wraps, by their paths."""
    if "peft" not in sys.modules:  # no model has them then
        return {}
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {path: module for path, module in model.named_modules() if isinstance(module, BaseTunerLayer)}


def _unwrap(model: nn.Module, path: str, wrapper: Any) -> None:
    """Replace a layer of peft by its merged base layer."""
    if added_to(wrapper):
        raise ValueError("another method acts on layers that a tuner of peft replaced")
    try:
        wrapper.merge(safe_merge=True)
        base = wrapper.get_base_layer()
    except Exception as error:  # whatever a tuner says that cannot be merged
        raise ValueError(f"its tuner of peft cannot be merged into a layer ({first_line(error)})") from None
    owner, _, name = path.rpartition(".")
    setattr(model.get_submodule(owner), name, base)
