"""Read YAML into validated models; an error is one line with file, key and closest valid name."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.errors import BenchmarkError, closest

SPEC_DIR = Path(__file__).parent


class Spec(BaseModel):
    """Base class of declared objects: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
        first, *rest = error.errors(include_url=False)
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            names = set(model.model_fields) if len(first["loc"]) == 1 else set(_field_names(model))
            message = f"unknown key{closest(str(first['loc'][-1]), names)}"
        else:
            message = first["msg"].removeprefix("Value error, ")
            message += f", got {first['input']!r}" if key else ""  # without a key, the input is all there is
        more = f" (and {len(rest)} more)" if rest else ""
        raise BenchmarkError(f"{where}: {key or 'value'}: {message}{more}") from None


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
