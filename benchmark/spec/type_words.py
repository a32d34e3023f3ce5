"""Types of hyper-parameters and keys in words: `whole number, at least 1`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

PLAIN: dict[Any, str] = {bool: "true or false", int: "whole number", float: "number", str: "text", NoneType: "null"}
BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "pattern": "pattern"}


def type_words(kind: Any) -> str:
    """Return a type with its bounds in words; the name of a type that has no words."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return ", ".join([type_words(parts[0]), *_bounds(parts[1:])])
    if origin is Literal:
        return " or ".join(str(part) for part in parts) if len(parts) < 3 else f"one of {', '.join(map(str, parts))}"
    if origin in (Union, UnionType):
        return ", or ".join(type_words(part) for part in parts)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "keys and values"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return _list_words(parts)
    return PLAIN.get(kind) or str(getattr(kind, "__name__", kind))


def _list_words(parts: tuple[Any, ...]) -> str:
    counted = [part for part in parts if part is not Ellipsis]
    if len(counted) < len(parts) or len(parts) == 1:
        return f"list of: {type_words(counted[0])}"
    return f"list of {len(parts)}: {', '.join(type_words(part) for part in parts)}"


def bounds(metadata: Iterable[Any]) -> list[str]:
    """Return the bounds that pydantic keeps of a field, in words."""
    return [
        f"{words} {getattr(item, name)}"
        for item in metadata
        for name, words in BOUNDS.items()
        if getattr(item, name, None) is not None
    ]


def _bounds(metadata: Iterable[Any]) -> list[str]:
    return [text for item in metadata for text in bounds(item.metadata if isinstance(item, FieldInfo) else [item])]
