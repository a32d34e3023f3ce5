"""The methods that are there, by name: the files of `baselines/`, those of installed packages, and the user's own."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import json
import math
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError

from benchmark.errors import BenchmarkError, closest
from benchmark.methods import huggingface
from benchmark.methods.contract import Composed, External, Method
from benchmark.methods.external import FILE_MODULE, describe, is_place, load_place
from benchmark.plugins import installed, warn_left_out
from benchmark.spec.grammar import Ref, parse_refs
from benchmark.spec.recipe import Tuning
from benchmark.spec.request import MethodChoice

M = TypeVar("M", bound=type[Method])
OWN = ("baselines", "benchmark")  # packages of the suite
_METHODS: dict[str, type[Method]] = {}
_TRIED: set[str] = set()


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
        check_name(name)
        _refuse_twin(name, method)
        method.name, method.label, method.source = name, label, source
        _check(method)
        _METHODS[name] = method
        return method

    return enter


def check_name(name: str) -> None:
    """Refuse a name that does not fit the command line and file names.

    Raises:
        BenchmarkError: it does not.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise BenchmarkError(f"method name '{name}': lower-case letters, digits and _ only")


def _refuse_twin(name: str, method: type[Method]) -> None:
    other = _METHODS.get(name)
    if other is not None and _place(other) != _place(method):
        raise BenchmarkError(f"method '{name}' is registered twice: {_place(other)} and {_place(method)}")


def methods() -> dict[str, type[Method]]:
    """Every method by name, sorted; a file or an entry point that does not import is reported and left out."""
    folder = importlib.import_module("baselines")
    for module in pkgutil.iter_modules(folder.__path__):
        _load(f"baselines/{module.name}.py", functools.partial(importlib.import_module, f"baselines.{module.name}"))
    for what, entry in installed("methods"):
        _load(what, entry.load)
    for method in _METHODS.values():
        if "external" not in vars(method) and method.__module__.partition(".")[0] not in OWN:
            method.external = describe(method)
    return dict(sorted(_METHODS.items()))


def _load(what: str, load: Callable[[], object]) -> None:
    """Import methods, or say once why they are left out; then nothing of them stays registered."""
    if what in _TRIED:
        return
    _TRIED.add(what)
    before = dict(_METHODS)
    try:
        loaded = load()
        if inspect.isclass(loaded) and issubclass(loaded, Method):  # its module may have been imported before
            _refuse_twin(loaded.name, loaded)
            _METHODS[loaded.name] = loaded
    except (Exception, SystemExit) as error:
        _METHODS.clear()
        _METHODS.update(before)
        warn_left_out(what, error)


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


def find_method(name: str) -> type[Method]:
    """The method of that name; `peft/NAME` is a tuner of Hugging Face PEFT.

    Raises:
        BenchmarkError: there is none (any more).
    """
    if name.startswith(huggingface.PREFIX):
        return huggingface.find(name)
    known = methods()
    if name not in known:
        raise BenchmarkError(f"unknown method '{name}'{closest(name, known)}")
    return known[name]


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
    """The method of a trial request.

    Raises:
        BenchmarkError: unknown, or its file is not the one that the request was made with.
    """
    parts = tuple(_build(Ref(part.name, tuple(part.options.items()))) for part in choice.parts)
    for part, wanted in zip(parts, choice.parts, strict=True):
        found = part.external and part.external.identity
        if found != wanted.source:
            raise BenchmarkError(
                f"method '{part.name}': its source is {found}, but this trial was planned with {wanted.source}; give "
                "the `run` again"
            )
    return Composed(parts)


def methods_current(choice: MethodChoice) -> bool:
    """Whether the methods of a trial are the ones that are there now.

    A method from outside the suite that is not at hand cannot be compared and counts as unchanged.
    """
    for part in choice.parts:
        try:
            external = find_method(part.name).external
        except BenchmarkError:
            if part.source is None:
                return False
            continue
        if (external and external.identity) != part.source:
            return False
    return True


def externals(choices: Iterable[MethodChoice]) -> dict[str, External]:
    """Where the methods of trials come from that are not the suite's, by name."""
    names = dict.fromkeys(part.name for choice in choices for part in choice.parts)
    return {name: external for name in names if (external := find_method(name).external)}


def load_externals(places: Mapping[str, str]) -> None:
    """Make methods known in another process, by name and place."""
    for name, place in places.items():
        if name not in _METHODS and is_place(place):
            load_place(place)


def source_file(name: str) -> Path:
    """The file that defines a method, for the code's fingerprint.

    Raises:
        BenchmarkError: there is no such method (any more).
    """
    return Path(inspect.getfile(find_method(name)))


def _build(ref: Ref) -> Method:
    if is_place(ref.name):
        ref = Ref(load_place(ref.name).name, ref.options)
    method = find_method(ref.name)
    options: dict[str, Any] = dict(ref.options)
    fields = {field.name for field in dataclasses.fields(method)}  # type: ignore[arg-type]
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
    if method.__module__.startswith(FILE_MODULE):
        return f"{sys.modules[method.__module__].__file__}:{method.__qualname__}"
    return f"{method.__module__}.{method.__qualname__}"
