"""The methods that are there: the files of `baselines/`, found by name."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import math
import pkgutil
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError

from benchmark.errors import BenchmarkError, closest
from benchmark.methods.contract import Composed, Method
from benchmark.spec.grammar import Ref, parse_refs
from benchmark.spec.recipe import Tuning
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
        if other is not None and _place(other) != _place(method):
            raise BenchmarkError(f"method '{name}' is registered twice: {_place(other)} and {_place(method)}")
        method.name, method.label, method.source = name, label, source
        _check(method)
        _METHODS[name] = method
        return method

    return enter


def methods() -> dict[str, type[Method]]:
    """Every method by name, sorted; a file of `baselines/` that does not import is reported and left out."""
    folder = importlib.import_module("baselines")
    for module in pkgutil.iter_modules(folder.__path__):
        _load(f"baselines.{module.name}")
    return dict(sorted(_METHODS.items()))


@functools.cache
def _load(module: str) -> None:
    """Import a file of methods, or say once why it is left out; then nothing of it stays registered."""
    before = dict(_METHODS)
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:
        _METHODS.clear()
        _METHODS.update(before)
        path = module.replace(".", "/")
        warnings.warn(f"{path}.py is left out: {type(error).__name__}: {error}", stacklevel=2)


def _check(method: type[Method]) -> None:
    """Refuse a class that does not fit the contract, before anything is built on it."""
    place = _place(method)
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise BenchmarkError(f"{place}: a method is a class derived from Method")
    if not ("__dataclass_params__" in vars(method) and method.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise BenchmarkError(f"{place}: put @dataclass(frozen=True, kw_only=True) under @register")
    if method.tuning not in get_args(Tuning):
        raise BenchmarkError(f"{place}: tuning is '{method.tuning}' instead of one of {', '.join(get_args(Tuning))}")
    try:
        json.dumps(TypeAdapter(method).validate_python({}).options())
    except Exception as error:  # whatever the class does at its making
        raise BenchmarkError(
            f"{place}: every hyper-parameter needs a type and a default that JSON knows "
            f"({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from None


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
    if infinite := [key for key, value in options.items() if isinstance(value, float) and not math.isfinite(value)]:
        raise BenchmarkError(f"method '{ref.name}': {infinite[0]}: expected a finite number")
    try:
        return TypeAdapter(method).validate_python(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BenchmarkError(f"method '{ref.name}': {key}: {first['msg']}, got {first['input']!r}") from None


def _place(method: type[Method]) -> str:
    return f"{method.__module__}.{method.__qualname__}"
