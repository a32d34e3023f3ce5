"""Modules that methods add to a model; the names of the model's own parameters stay.

An added module acts on the output of another module, its *host*. It is a child of an *owner*, which gives its
parameters their names. `attach` adds to any module, which is host and owner. `insert` adds at a site of a block: the
block is the owner, its attention or MLP the host. Either way one forward hook of the host calls the added modules.

The order in which a host's modules act:

1. attached modules, in the order of attachment;
2. modules at the host's `*_out` site, in the order of insertion, each fed the output so far;
3. modules at its `*_parallel` site, each fed the host's input, their outputs added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from benchmark.errors import BenchmarkError

Site = Literal["attn_parallel", "attn_out", "mlp_parallel", "mlp_out"]
SITES: tuple[Site, ...] = get_args(Site)
ATTACHED, AT_OUT, AT_PARALLEL = range(3)  # stages, in the order in which they act


@dataclass(frozen=True)
class _Added:
    """A module that acts on its host's output.

    Attributes:
        module: the added module. It is kept itself, not by its owner: a reference from the host to the owner, which
            contains it, would be a cycle, and a model in a cycle keeps its GPU memory until the garbage collector runs.
        parallel: whether the module gets the host's input, and its output is added; else it gets the output so far.
        stage: `ATTACHED`, `AT_OUT` or `AT_PARALLEL`.
        where: name and place of the module, for messages.
    """

    module: nn.Module
    parallel: bool
    stage: int
    where: str

    @property
    def keeps_shape(self) -> bool:
        """Whether its output must have the shape of the host's; only an attached one may change it."""
        return self.parallel or self.stage != ATTACHED


class _AddedModules:
    """The forward hook of a host: calls its added modules. A class, because models are copied and pickled."""

    def __init__(self) -> None:
        self.entries: list[_Added] = []

    def add(self, entry: _Added) -> None:
        self.entries.append(entry)
        self.entries.sort(key=lambda entry: entry.stage)  # a stable sort: within a stage the order of addition stays

    def __call__(self, host: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        for entry in self.entries:
            result = entry.module(inputs[0] if entry.parallel else output)
            if entry.keeps_shape and getattr(result, "shape", None) != output.shape:
                raise BenchmarkError(_wrong_result(entry, result, output))
            output = output + result if entry.parallel else result
        return output


def _wrong_result(entry: _Added, result: object, expected: torch.Tensor) -> str:
    """Return in one line what an added module returned, and what it must return."""
    shape = f"(..., {expected.shape[-1]})"
    if not isinstance(result, torch.Tensor):
        return f"{entry.where} returns {type(result).__name__}, expected a tensor of shape {shape}"
    if result.shape[:-1] == expected.shape[:-1]:
        return f"{entry.where} returns (..., {result.shape[-1]}), expected {shape}"
    return f"{entry.where} returns {tuple(result.shape)}, expected {tuple(expected.shape)}"


def attach(model: nn.Module, path: str, name: str, module: nn.Module, *, parallel: bool) -> list[str]:
    """Add a module as a child of the module at `path`, on whose output it acts.

    Args:
        model: the root of `path` and of the returned names.
        path: the host, as in `model.named_modules()`.
        name: the name of the child.
        module: what is added.
        parallel: it gets the host's input, and its output is added; else it gets the host's output and replaces it.

    Returns:
        The names of the child's parameters within `model`.

    Raises:
        ValueError: there is no such host, or it has something of that name.
    """
    try:
        host = model.get_submodule(path)
    except AttributeError:
        raise ValueError(f"the model has no module '{path}'") from None
    _add_child(host, f"'{path}'", name, module)
    _extend(host, _Added(module, parallel, ATTACHED, f"module '{name}' at {path}"))
    return [f"{path}.{name}.{parameter}" for parameter, _ in module.named_parameters()]


def insert(
    block: nn.Module, site: Site, name: str, module: nn.Module, sublayers: Mapping[str, str], layer: int
) -> None:
    """Add a module as a child of a Transformer block, at one of the block's sites.

    Args:
        block: the owner.
        site: where the module acts.
        name: the name of the child.
        module: what is added, (B, N, D) -> (B, N, D).
        sublayers: paths of the block's attention (`attn`) and MLP (`mlp`).
        layer: number of the block, for messages.

    Raises:
        ValueError: unknown site, or the block has something of that name.
    """
    if site not in SITES:
        raise ValueError(f"unknown site '{site}' (valid: {', '.join(SITES)})")
    _add_child(block, "the block", name, module)
    sublayer, _, kind = site.partition("_")
    parallel = kind == "parallel"
    where = f"module '{name}' at {site} of block {layer}"
    _extend(
        block.get_submodule(sublayers[sublayer]), _Added(module, parallel, AT_PARALLEL if parallel else AT_OUT, where)
    )


def added_to(host: nn.Module) -> list[tuple[nn.Module, bool]]:
    """Return the modules that act on a host's output, in their order, and whether each is in parallel with it."""
    hook = vars(host).get("added_modules")
    return [(entry.module, entry.parallel) for entry in hook.entries] if hook else []


def remove_added(model: nn.Module, host: nn.Module) -> None:
    """Remove the modules that act on a host's output from the model that contains it."""
    removed = {id(module) for module, _ in added_to(host)}
    for owner in list(model.modules()):
        for name, child in list(owner.named_children()):
            if id(child) in removed:
                delattr(owner, name)
    for key, hook in list(host._forward_hooks.items()):
        if isinstance(hook, _AddedModules):
            del host._forward_hooks[key]
    vars(host).pop("added_modules", None)


def has_other_hooks(module: nn.Module) -> bool:
    """Return whether a module has forward hooks besides the one that calls added modules."""
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    return any(not isinstance(hook, _AddedModules) for hook in hooks)


def _add_child(owner: nn.Module, owner_name: str, name: str, module: nn.Module) -> None:
    if hasattr(owner, name):
        raise ValueError(f"{owner_name} has a '{name}' already: two methods add the same module")
    owner.add_module(name, module)


def _extend(host: nn.Module, entry: _Added) -> None:
    """Give the host its hook, once, and the hook its entry."""
    hook = vars(host).get("added_modules")
    if hook is None:
        hook = _AddedModules()
        vars(host)["added_modules"] = hook
        host.register_forward_hook(hook)
    hook.add(entry)
