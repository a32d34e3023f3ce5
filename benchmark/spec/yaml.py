"""Read YAML into validated models; an error is one line with file, key and closest valid name."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from benchmark.errors import BenchmarkError, closest

WIDTH = 110  # characters of a line of written YAML
SPEC_DIR = Path(__file__).parent


class Spec(BaseModel):
    """Base class of declared objects: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


LISTED = 8  # faults that a message names
Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        BenchmarkError: the file cannot be read, is not YAML, or is not a mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path}: cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(f"{path}: not valid YAML: {str(error) or 'nested too deeply'}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise BenchmarkError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(data, dict):
        raise BenchmarkError(f"{path}: expected keys and values, found {type(data).__name__}")
    return data


def validate(model: type[Model], data: object, where: str) -> Model:
    """Build a model from plain data.

    Args:
        model: the class.
        data: as read from YAML.
        where: file or option, for messages.

    Raises:
        BenchmarkError: one line with the place, the key, what is wrong and the closest valid key.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = [_fault(model, fault) for fault in error.errors(include_url=False)]
        more = f" (and {len(found) - LISTED} more)" if len(found) > LISTED else ""
        raise BenchmarkError(f"{where}: {'; '.join(found[:LISTED])}{more}") from None


def _fault(model: type[BaseModel], fault: ErrorDetails) -> str:
    """Return the key and what is wrong with it, as pydantic reports it, in words."""
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        names = set(model.model_fields) if len(fault["loc"]) == 1 else set(_field_names(model))
        return f"{key}: unknown key{closest(str(fault['loc'][-1]), names)}"
    message = fault["msg"].removeprefix("Value error, ")
    if not key or fault["type"] == "missing":  # the input is all there is
        return f"{key or 'value'}: {message}"
    return f"{key}: {message}, got {fault['input']!r}"


def _field_names(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        yield from _names_below(field.annotation)


def _names_below(annotation: Any) -> Iterator[str]:
    """Yield the keys of the models in a type, such as `dict[str, Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _field_names(annotation)
    for part in get_args(annotation):
        yield from _names_below(part)


def yaml_text(data: object) -> str:
    """Return plain data as YAML that is easy to read: text of several lines as a block, no doubled quotes."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes text as people do."""


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif "'" in text and yaml.safe_dump(text).startswith("'"):
        style = ">" if len(text) > WIDTH // 2 else '"'  # as a single-quoted text, it would have doubled quotes
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)


def parse_scalar(text: str) -> Any:
    """Parse a value like JSON or YAML (`3`, `1e-4`, `true`, `[16, 16]`); other text stays a string."""
    if text.startswith(("[", "{", '"')):
        with contextlib.suppress(ValueError):
            return json.loads(text)
    try:
        return float(text) if _is_plain_exponent(text) else yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text


def _is_plain_exponent(text: str) -> bool:
    """Return whether a text is a number such as `1e-4`, which PyYAML takes for a string because it has no dot."""
    mantissa, _, exponent = text.lower().partition("e")
    digits = (mantissa.lstrip("+-"), exponent.lstrip("+-"))
    return all(part.isascii() and part.isdecimal() for part in digits)
