"""Modules and tensors in plain attributes of modules, such as lists.

torch does not know them: they are no part of `parameters()` and `state_dict()`, and `to()` does not move them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import nn

REGISTERED = frozenset({"_parameters", "_buffers", "_modules"})


class Unregistered(NamedTuple):
    """A module or a tensor that torch does not know.

    Attributes:
        path: the module that has the attribute, within the model.
        attribute: its name.
        place: path, attribute, and keys or numbers in containers, with dots.
        value: the module or tensor.
    """

    path: str
    attribute: str
    place: str
    value: nn.Module | torch.Tensor


def unregistered(model: nn.Module) -> Iterator[Unregistered]:
    """Yield what is in plain attributes of modules, in dictionaries, lists and tuples, and nowhere registered."""
    registered = {id(known) for known in (*model.modules(), *model.parameters(), *model.buffers())}
    for path, module in model.named_modules():
        for attribute, content in vars(module).items():
            if attribute not in REGISTERED:
                for place, value in _parts(content, f"{path}.{attribute}"):
                    if id(value) not in registered:
                        yield Unregistered(path, attribute, place, value)


def _parts(value: object, place: str) -> Iterator[tuple[str, nn.Module | torch.Tensor]]:
    """Yield modules and tensors in a value, with their places."""
    if isinstance(value, (nn.Module, torch.Tensor)):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _parts(item, f"{place}.{key}")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _parts(item, f"{place}.{number}")
