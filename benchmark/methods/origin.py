"""Where a method's class comes from: the suite, an installed package, or a user's file."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import re
from pathlib import Path
from typing import TypeGuard

from benchmark.errors import BenchmarkError
from benchmark.methods.contract import External, Method

SUITE = ("baselines", "benchmark")  # top-level packages of the suite
FILE_MODULE = "aat_plugin_"  # prefix of the names of modules that are run from a user's file
SEPARATORS = "+,;=[]"  # of the grammar of methods
DIGITS = 12


def of_suite(method: type[Method]) -> bool:
    """Return whether a method is one of the suite's own, `peft/*` included."""
    return method.__module__.partition(".")[0] in SUITE


def is_registered(method: object) -> TypeGuard[type[Method]]:
    """Return whether an object is a method's class with `@register`."""
    return inspect.isclass(method) and issubclass(method, Method) and "name" in vars(method)


def unregistered(name: str) -> str:
    """Return what to do with a class that has no `@register`."""
    return f'put @register("NAME", label=..., source=...) above class {name}'


def defining_file(method: type[Method]) -> Path | None:
    """Return the absolute path of the file that defines a class.

    None where another process cannot load the class from a file: it was defined in a notebook cell, in a REPL, inside a
    function, or in the script that is running, which would run twice.
    """
    if method.__module__ == "__main__" or "<locals>" in method.__qualname__:
        return None
    try:
        path = Path(inspect.getfile(method)).resolve()
    except (TypeError, OSError):  # the module has no file
        return None
    return path if path.is_file() else None


def no_file(method: type[Method]) -> str:
    """Return what is wrong with a class that has no `defining_file`."""
    return (
        f"class {method.__qualname__} is defined in a notebook cell, in a function, or in the script that is running; "
        "other processes cannot load it from there: put it into a file of its own"
    )


def describe(method: type[Method]) -> External | None:
    """Return where an imported class from outside the suite comes from; None for a class without a file."""
    path = defining_file(method)
    if path is None:
        return None
    top, _, rest = method.__module__.partition(".")
    owners = _owners().get(top, [])
    # a module beside a notebook may not be importable in other processes: name its file
    alone = not rest and not owners and path.name != "__init__.py"
    return External(
        place=f"{path if alone else method.__module__}:{method.__qualname__}",
        digest=content_digest(path.read_bytes()),
        distribution=owners[0] if owners else None,
        version=importlib.metadata.version(owners[0]) if owners else None,
    )


def changed_file(external: External) -> Path | None:
    """Return the file of a method if its content is another one than when the method was loaded, else None.

    Only files are compared: the modules of a package are imported once in a process.
    """
    match = re.fullmatch(r"(.+\.py):\w+", external.place)
    path = Path(match[1]) if match else None
    return path if path and path.is_file() and content_digest(path.read_bytes()) != external.digest else None


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


def content_digest(content: bytes) -> str:
    """Return the first 12 hex digits of the sha256 of a file's content."""
    return hashlib.sha256(content).hexdigest()[:DIGITS]


@functools.cache
def _owners() -> dict[str, list[str]]:
    """Return distributions by top-level package; cached, as reading them takes a while."""
    return {name: list(owners) for name, owners in importlib.metadata.packages_distributions().items()}
