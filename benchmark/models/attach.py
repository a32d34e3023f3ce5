"""Modules that act on the output of another one, whose parameters keep their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class _Hook:
    """What runs behind a module's forward pass; a class, so that models can be copied and pickled."""

    name: str
    parallel: bool

    def __call__(self, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        child = module.get_submodule(self.name)
        changed: torch.Tensor = output + child(inputs[0]) if self.parallel else child(output)
        return changed


def attach(model: nn.Module, path: str, name: str, child: nn.Module, *, parallel: bool) -> list[str]:
    """Make `child` a submodule `name` of the module at `path`, and let it act on that module's output.

    Args:
        model: the module that paths and names are relative to.
        path: of the module, as in `model.named_modules()`.
        name: of the child within it.
        child: with `parallel` it gets the module's input and its output is added; else it gets the output.
        parallel: which of both. Several children act in the order in which they were attached.

    Returns:
        The names of the child's parameters within `model`.

    Raises:
        ValueError: no such module, or the name is taken.
    """
    try:
        module: Any = model.get_submodule(path)
    except AttributeError:
        raise ValueError(f"the model has no module '{path}'") from None
    if hasattr(module, name):
        raise ValueError(f"'{path}' has a '{name}' already: two methods attach the same module")
    module.add_module(name, child)
    module.register_forward_hook(_Hook(name, parallel))
    return [f"{path}.{name}.{parameter}" for parameter, _ in child.named_parameters()]
