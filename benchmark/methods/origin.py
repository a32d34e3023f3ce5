"""Where a method's class comes from: the suite, an installed package, or a user's file."""

from __future__ import annotations

import inspect
from typing import TypeGuard

from benchmark.errors import BenchmarkError
from benchmark.methods.contract import Method
from benchmark.places import SUITE

SEPARATORS = "+,;=[]"  # of the grammar of methods


def of_suite(method: type[Method]) -> bool:
    """Return whether a method is one of the suite's own, `peft/*` included."""
    return method.__module__.partition(".")[0] in SUITE


def is_registered(method: object) -> TypeGuard[type[Method]]:
    """Return whether an object is a method's class with `@register`."""
    return inspect.isclass(method) and issubclass(method, Method) and "name" in vars(method)


def unregistered(name: str) -> str:
    """Return what to do with a class that has no `@register`."""
    return f'put @register("NAME", label=..., source=...) above class {name}'


def no_file(method: type[Method]) -> str:
    """Return what is wrong with a class that has no `defining_file`."""
    return (
        f"class {method.__qualname__} is defined in a notebook cell, in a function, or in the script that is running; "
        "other processes cannot load it from there: put it into a file of its own"
    )


def method_text(method: str | type[Method]) -> str:
    """Return the text that names a method in grids and on the command line.

    Args:
        method: such a text, which stays as it is, or a class.

    Returns:
        The name of a method of the suite; `FILE.py:CLASS` or `package.module:CLASS` for a class from outside.

    Raises:
        BenchmarkError: the class is not registered, or it is not in a file that other processes can load.
    """
    if isinstance(method, str):
        return method
    name = getattr(method, "__name__", repr(method))
    if not is_registered(method):
        raise BenchmarkError(f"{name} is not a registered method: {unregistered(name)}")
    if of_suite(method):
        return method.name
    if method.external is None:
        raise BenchmarkError(f"method '{method.name}': {no_file(method)}")
    place = method.external.place
    if unfit := [character for character in SEPARATORS if character in place]:
        raise BenchmarkError(f"{place}: '{unfit[0]}' has a meaning in method names; rename the file or folder")
    return place
