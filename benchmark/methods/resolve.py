"""From a method's class and written hyper-parameters to an object; checks of classes and names."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from benchmark.errors import BenchmarkError, closest, first_line
from benchmark.methods.contract import Composed, Method
from benchmark.places import External
from benchmark.spec.recipe import Tuning


def check_name(name: str) -> None:
    """Check that a method's name fits the command line and file names.

    Raises:
        BenchmarkError: it does not.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise BenchmarkError(f"method name '{name}': lower-case letters, digits and _ only")


def check_class(method: type[Method], place: str) -> None:
    """Check a class against the contract, as far as that goes without a model.

    Args:
        method: the class.
        place: where it is, for messages.

    Raises:
        BenchmarkError: it is not a frozen dataclass derived from Method, or a field lacks a type or a default.
    """
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise BenchmarkError(f"{place}: a method is a class derived from Method")
    if not ("__dataclass_params__" in vars(method) and method.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise BenchmarkError(f"{place}: put @dataclass(frozen=True, kw_only=True) under @register")
    if method.tuning not in get_args(Tuning):
        raise BenchmarkError(f"{place}: tuning is '{method.tuning}' instead of one of {', '.join(get_args(Tuning))}")
    try:
        json.dumps(TypeAdapter(method).validate_python({}).options())
    except Exception as error:  # the class may raise anything
        raise BenchmarkError(
            f"{place}: every hyper-parameter needs a type and a default that JSON can hold ({first_line(error)})"
        ) from None


def instantiate(method: type[Method], options: Mapping[str, Any]) -> Method:
    """Return a method with some hyper-parameters set.

    Raises:
        BenchmarkError: unknown hyper-parameter, or a value of the wrong type or out of bounds.
    """
    fields = {field.name for field in dataclasses.fields(method)}  # type: ignore[arg-type]
    for key, value in options.items():
        if key not in fields:
            hint = closest(key, fields) or " (it has none)"
            raise BenchmarkError(f"method '{method.name}': unknown hyper-parameter '{key}'{hint}")
        if isinstance(value, float) and not math.isfinite(value):
            raise BenchmarkError(f"method '{method.name}': {key}: expected a finite number")
    try:
        return TypeAdapter(method).validate_python(dict(options))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BenchmarkError(f"method '{method.name}': {key}: {first['msg']}, got {first['input']!r}") from None


def require_compatible(method: type[Method], options: Mapping[str, Any]) -> None:
    """Check that a user gives at most one of a method's exclusive hyper-parameters, even if one has its default.

    Raises:
        BenchmarkError: two are given.
    """
    both = [key for key in method.exclusive if options.get(key) is not None]
    if len(both) > 1:
        raise BenchmarkError(f"method '{method.name}': {' and '.join(both)} exclude each other; give one of them")


def compose(parts: tuple[Method, ...], text: str) -> Composed:
    """Return the composition of methods, in the one order that all texts with these methods stand for.

    Methods that replace modules come first, then all others, by name. So `aat_m+prompt` and `prompt+aat_m` are one
    method: results, ids and names do not depend on the order in which they are written.

    Args:
        parts: in any order.
        text: as written, for the message.

    Raises:
        BenchmarkError: a method is composed with itself.
    """
    names = [part.name for part in parts]
    if len(set(names)) < len(names):
        raise BenchmarkError(f"'{text}': a method cannot be composed with itself")
    return Composed(tuple(sorted(parts, key=lambda part: (not part.replaces_modules, part.name))))


def check_source(name: str, external: External | None, planned: str | None) -> None:
    """Check that a method is the one that a trial was planned with.

    Args:
        name: of the method.
        external: where the method comes from now; None for the suite's own.
        planned: `External.identity` in the trial request.

    Raises:
        BenchmarkError: it is another one.
    """
    present = external and external.identity
    if present == planned:
        return
    if external is None:
        reason = f"this trial was planned with a method from outside ({planned}), but now the suite has it"
    elif planned is None:
        reason = f"this trial was planned with the suite's method, but now {external.place} defines it"
    elif external.digest is None:
        reason = f"this trial was planned with {planned}, but {present} is installed; install {planned} or plan again"
    else:
        reason = (
            f"{external.place} has digest {present}, but this trial was planned with {planned}; restore the file or "
            "plan again"
        )
    raise BenchmarkError(f"method '{name}': {reason}")
