"""The methods that are there: the files of `baselines/`, found by name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from benchmark.errors import BenchmarkError, closest
from benchmark.methods.contract import Composed, Method
from benchmark.spec.grammar import Ref, parse_refs
from benchmark.spec.request import MethodChoice

M = TypeVar("M", bound=type[Method])
_METHODS: dict[str, type[Method]] = {}


def register(name: str, *, label: str, source: str) -> Callable[[M], M]:
    """Class decorator that makes a method known under `name`.

    Args:
        name: lower-case word, as written on the command line.
        label: as written in tables and figures.
        source: where the method is described.

    Raises:
        BenchmarkError: a name that does not fit, or that another class has.
    """

    def enter(method: M) -> M:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise BenchmarkError(f"method name '{name}': lower-case letters, digits and _ only")
        other = _METHODS.get(name)
        if other is not None and other.__module__ != method.__module__:
            raise BenchmarkError(f"method '{name}' is registered twice: {_place(other)} and {_place(method)}")
        method.name, method.label, method.source = name, label, source
        _METHODS[name] = method
        return method

    return enter


def methods() -> dict[str, type[Method]]:
    """Every method by name, sorted; a file of `baselines/` that does not import is reported and left out."""
    folder = importlib.import_module("baselines")
    for module in pkgutil.iter_modules(folder.__path__):
        try:
            importlib.import_module(f"baselines.{module.name}")
        except Exception as error:
            warnings.warn(f"baselines/{module.name}.py is left out: {type(error).__name__}: {error}", stacklevel=2)
    return dict(sorted(_METHODS.items()))


def resolve_methods(text: str, where: str) -> list[Composed]:
    """Parse `aat_ms[bottleneck=64]`, `aat_m+prompt`, or a sweep, and build the methods.

    Raises:
        BenchmarkError: unknown name or hyper-parameter, or a value out of bounds, led by `where`.
    """
    try:
        composed = [Composed(tuple(_build(ref) for ref in refs)) for refs in parse_refs(text)]
        for method in composed:
            names = [part.name for part in method.parts]
            if len(set(names)) < len(names):
                raise BenchmarkError(f"'{text}': a method cannot be composed with itself")
        return composed
    except BenchmarkError as error:
        raise BenchmarkError(f"{where}: {error}") from None


def build_method(choice: MethodChoice) -> Composed:
    """The method of a trial request."""
    return Composed(tuple(_build(Ref(part.name, tuple(part.options.items()))) for part in choice.parts))


def source_file(name: str) -> Path:
    """The file that defines a method, for the code's fingerprint.

    Raises:
        BenchmarkError: there is no such method (any more).
    """
    known = methods()
    if name not in known:
        raise BenchmarkError(f"unknown method '{name}'{closest(name, known)}")
    return Path(inspect.getfile(known[name]))


def _build(ref: Ref) -> Method:
    known = methods()
    if ref.name not in known:
        raise BenchmarkError(f"unknown method '{ref.name}'{closest(ref.name, known)}")
    method = known[ref.name]
    options: dict[str, Any] = dict(ref.options)
    fields = method.__dataclass_fields__  # type: ignore[attr-defined]
    for key in options:
        if key not in fields:
            hint = closest(key, fields) or " (it has none)"
            raise BenchmarkError(f"method '{ref.name}': unknown hyper-parameter '{key}'{hint}")
    try:
        return TypeAdapter(method).validate_python(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BenchmarkError(f"method '{ref.name}': {key}: {first['msg']}, got {first['input']!r}") from None


def _place(method: type[Method]) -> str:
    return f"{method.__module__}.{method.__qualname__}"
