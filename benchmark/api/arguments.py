"""Checks of the arguments of API calls: a wrong type is an error in one line, not a traceback from deep inside."""

from __future__ import annotations

import functools
import inspect
import numbers
import os
from collections.abc import Callable, Iterable
from types import NoneType
from typing import ParamSpec, TypeVar

from benchmark.errors import ArgumentError

P = ParamSpec("P")
R = TypeVar("R")

# what a part of an annotation accepts, and its name in messages
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "text"),
    "Path": ((os.PathLike,), "a path"),
    "int": ((numbers.Integral,), "a whole number"),  # also those of numpy
    "float": ((numbers.Real,), "a number"),
    "None": ((NoneType,), "None"),
    "PathLike": ((str, os.PathLike), "a path"),
    "Names": ((str, Iterable, NoneType), "text or a list of texts"),
    "Numbers": ((numbers.Integral, str, Iterable, NoneType), "a whole number or a list of them"),
    "Settings": ((str, Iterable, NoneType), "a mapping or a list of KEY=VALUE"),
    "Iterable[str]": ((Iterable,), "a list of texts"),
    "Iterable[str | Path]": ((Iterable,), "a list of paths"),
}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of a function against its annotations.

    A parameter whose annotation has a part that is not in `KINDS` is not checked here.

    Raises:
        BenchmarkError: a value of another type, or an empty text as a path; the message names the argument.
    """
    signature = inspect.signature(function)
    parts = {name: _parts(str(parameter.annotation)) for name, parameter in signature.parameters.items()}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            _check(name, value, parts[name])
        return function(*args, **kwargs)

    return call


def _parts(annotation: str) -> list[str]:
    """Return the alternatives of an annotation; empty if one of them is unknown."""
    whole = annotation.replace("Iterable[str | Path]", "Iterable[str,Path]")
    parts = [part.replace("[str,Path]", "[str | Path]") for part in whole.split(" | ")]
    return parts if all(part in KINDS for part in parts) else []


def _check(name: str, value: object, parts: list[str]) -> None:
    kinds = tuple(kind for part in parts for kind in KINDS[part][0])
    # Python counts True as a whole number
    if kinds and (isinstance(value, bool) or not isinstance(value, kinds)):
        named = [part for part in parts if part != "None" and not (part == "str" and "Path" in parts)]
        expected = " or ".join(KINDS[part][1] for part in named)
        raise ArgumentError(name, f"expected {expected}, got {value!r}")
    if value == "" and {"Path", "PathLike"} & set(parts):
        raise ArgumentError(name, "expected a path, got empty text")
