"""Find a model's tensors in a checkpoint, whatever wraps them: dictionaries, and prefixes of names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch

from benchmark.errors import BenchmarkError
from benchmark.models.checkpoint_file import SAVE, Unknown
from benchmark.models.checkpoint_formats import LAYOUTS

Tensors = dict[str, torch.Tensor]
# parts of names that DataParallel, compilation and sharded training insert, at any depth
WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
ADAPTERS = re.compile(r"(^|\.)(lora_|base_layer\.|adapter_|ia3_|hada_|vera_)|^base_model\.model\.")


class _Found(NamedTuple):
    """A model in a checkpoint.

    Attributes:
        place: keys and prefixes that lead to it, for messages.
        tensors: by name, without the prefix.
        others: names of tensors outside the model.
    """

    place: str
    tensors: Tensors
    others: tuple[str, ...]


def find_tensors(content: object, where: str) -> tuple[Tensors, tuple[str, ...]]:
    """Return the tensors of the only model in a checkpoint, and the names of tensors outside of it.

    If there is no model of a known format, all tensors of a flat dictionary are returned.

    Args:
        content: what was read from the file.
        where: the file, for messages.

    Raises:
        BenchmarkError: there are no tensors, several models, or an adapter without its backbone.
    """
    if isinstance(content, Unknown):
        raise BenchmarkError(
            f"{where}: a whole pickled model ({content.kind}), which needs its program; load it there and {SAVE}"
        )
    dictionaries = list(_dictionaries(content, "", set()))
    if not dictionaries:
        objects = ", ".join(sorted({unknown.kind for unknown in _unknown(content, set())})[:3])
        held = f"holds pickled objects ({objects}) and no dictionary of tensors" if objects else "holds no tensors"
        raise BenchmarkError(f"{where}: {held}; load it in its program and {SAVE}")
    found = [model for place, tensors in dictionaries for model in _models(place, tensors, where)]
    if len(found) > 1:
        places = ", ".join(model.place or "the top" for model in found)
        raise BenchmarkError(f"{where}: holds {len(found)} models ({places}); save the one that is meant alone")
    if found:
        [model] = found
        return model.tensors, model.others
    _, tensors = max(dictionaries, key=lambda item: len(item[1]))
    names = sorted(tensors)
    if any(ADAPTERS.search(name) for name in names):
        raise BenchmarkError(
            f"{where}: the weights of an adapter without its backbone ({names[0]}, ...); merge it into the model and "
            "save the whole model"
        )
    return _unwrapped(tensors, where), ()


def _dictionaries(content: object, place: str, seen: set[int]) -> Iterator[tuple[str, Tensors]]:
    """Yield every dictionary that holds tensors once, with the keys that lead to it; `seen` are identities."""
    if not isinstance(content, Mapping) or id(content) in seen:
        return
    seen.add(id(content))
    if tensors := {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}:
        yield place, tensors
    for name, value in content.items():
        yield from _dictionaries(value, f"{place}.{name}" if place else str(name), seen)


def _unknown(content: object, seen: set[int]) -> Iterator[Unknown]:
    """Yield the objects of unknown classes in nested dictionaries and lists; `seen` are identities."""
    if isinstance(content, Unknown):
        yield content
    elif isinstance(content, (Mapping, list, tuple)) and id(content) not in seen:
        seen.add(id(content))
        for value in content.values() if isinstance(content, Mapping) else content:
            yield from _unknown(value, seen)


def _models(place: str, tensors: Tensors, where: str) -> Iterator[_Found]:
    """Yield the models in a dictionary: one for each prefix of a known class token."""
    unwrapped = _unwrapped(tensors, where)
    for prefix in sorted({prefix for name in unwrapped for prefix in _prefixes(name)}):
        inside = {name.removeprefix(prefix): value for name, value in unwrapped.items() if name.startswith(prefix)}
        others = tuple(name for name in unwrapped if not name.startswith(prefix))
        yield _Found(".".join(filter(None, (place, prefix.rstrip(".")))), inside, others)


def _prefixes(name: str) -> Iterator[str]:
    """Yield what stands before the class token of a known format; nothing for other tensors."""
    for layout in LAYOUTS:
        if (prefix := layout.prefix_of(name)) is not None:
            yield prefix


def _unwrapped(tensors: Tensors, where: str) -> Tensors:
    """Return the tensors with the names that they have without wrappers."""
    named: Tensors = {}
    for name, value in tensors.items():
        bare = ".".join(part for part in name.split(".") if part not in WRAPPERS)
        if bare in named:
            raise BenchmarkError(f"{where}: two tensors are called {bare}; save one model alone")
        named[bare] = value
    return named
