"""Methods as text: what grids and requests hold, for the classes and objects that a caller may pass."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError
from benchmark.spec.grammar import canonical

if TYPE_CHECKING:
    from benchmark.methods.contract import Method

    MethodName = str | type[Method] | Method
    MethodNames = MethodName | Iterable[MethodName]


def method_names(methods: MethodNames) -> list[str]:
    """Return methods as text: `aat_ms`, `aat_ms[bottleneck=64]`, `./mine.py`.

    Args:
        methods: one or several of: text as on the command line, a class derived from `Method`, an object of such a
            class with the hyper-parameters to use.

    Raises:
        BenchmarkError: neither text nor a method, or a class that worker processes cannot load.
    """
    if methods == "":
        raise BenchmarkError("methods: expected the name of a method, got empty text")
    if isinstance(methods, str | type) or not isinstance(methods, Iterable):
        return [_name(methods)]
    return [_name(method) for method in methods]


def _name(method: MethodName) -> str:
    if isinstance(method, str):
        return method
    from benchmark.methods.contract import Method
    from benchmark.methods.registry import method_text

    found = method if inspect.isclass(method) else type(method)
    if not issubclass(found, Method):
        raise BenchmarkError(f"methods: expected text, a class derived from Method or an object of it, got {method!r}")
    return canonical(method_text(found), method.changed() if isinstance(method, Method) else {})
