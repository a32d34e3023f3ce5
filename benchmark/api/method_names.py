"""Methods as text: what grids and requests hold, for the classes and objects that a caller may pass."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.methods.contract import Method

    MethodName = str | type[Method] | Method
    MethodNames = MethodName | Iterable[MethodName]

SUITE = ("baselines", "benchmark")  # top-level packages whose methods every process knows


def method_names(methods: MethodNames) -> list[str]:
    """Return methods as text: `aat_ms`, `aat_ms[bottleneck=64]`, `./mine.py`.

    Args:
        methods: one or several of: text as on the command line, a class derived from `Method`, an object of such a
            class with the hyper-parameters to use.

    Raises:
        BenchmarkError: neither text nor a method, or a class that worker processes cannot import.
    """
    if isinstance(methods, str | type) or not isinstance(methods, Iterable):
        return [_name(methods)]
    return [_name(method) for method in methods]


def _name(method: MethodName) -> str:
    if isinstance(method, str):
        return method
    from benchmark.methods.contract import Method

    found = method if inspect.isclass(method) else type(method)
    if not issubclass(found, Method):
        raise BenchmarkError(f"methods: expected text, a class derived from Method or an object of it, got {method!r}")
    if "name" not in vars(found):
        raise BenchmarkError(
            f'methods: put @register("NAME", label=..., source=...) above class {found.__name__} and run that again'
        )
    if found.__module__.partition(".")[0] not in SUITE:
        _make_importable(found)
    return method.choice().variant if isinstance(method, Method) else found.name


def _make_importable(method: type[Method]) -> None:
    """Note in the class where worker processes import it from.

    A worker does not know `__main__` or the caller's import path. So a class of a single file is imported from that
    file, and a class of a package by the package's name, because its relative imports need it.
    """
    from benchmark.methods.external import FILE_MODULE, describe

    module = method.__module__
    if module.startswith(FILE_MODULE):  # read from a file by the suite, which noted the place
        return
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or (module == "__main__" and not _is_guarded(Path(file))):
        where = "in a notebook" if file is None else f"in {file}, which runs again when it is imported"
        raise BenchmarkError(
            f"methods: class {method.__name__} is defined {where}, so worker processes cannot import it; move it into "
            f"a file of its own, such as {method.name}.py, and pass './{method.name}.py' or the class imported from it"
        )
    if "." in method.__qualname__:
        raise BenchmarkError(f"methods: class {method.__qualname__} must be at the top level of its module")
    place = f"{module}:{method.__name__}" if "." in module else f"{Path(file).resolve()}:{method.__name__}"
    method.external = describe(method, place)


def _is_guarded(script: Path) -> bool:
    """Return whether a script does its work under `if __name__ == "__main__"`, so that it can be imported."""
    tests = [node.test for node in ast.parse(script.read_bytes()).body if isinstance(node, ast.If)]
    return any(isinstance(name, ast.Name) and name.id == "__name__" for test in tests for name in ast.walk(test))
