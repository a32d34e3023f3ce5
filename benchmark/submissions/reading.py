"""Read files that a stranger may have written: every size is limited before anything is unpacked or parsed."""

from __future__ import annotations

import functools
import json
import math
import os
import re
import stat
import unicodedata
from pathlib import Path
from typing import Any, NoReturn

from benchmark.errors import BenchmarkError
from benchmark.units import data_size

MAX_SOURCE_BYTES = 2**18  # of a method's file
MAX_JSON_BYTES = 8 * 2**20  # a record of 1000 epochs has half a megabyte
MAX_DEPTH = 32  # of objects and lists within each other in JSON; a record has 8
MAX_DIGITS, MAX_NUMBER = 32, 2**63  # of a number
# whatever is no bracket outside of strings; a string without an end goes to the end, so that no byte is read twice
_NO_BRACKETS = re.compile(rb'(?:"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[^"\[\]{}])++', re.DOTALL)


class RefusedError(BenchmarkError):
    """A file that is not read; the message says why, without the name of the file."""


def read_bytes(path: Path, limit: int) -> bytes:
    """Return the content of an ordinary file of at most `limit` bytes; links are not followed.

    Raises:
        RefusedError: it is missing, no ordinary file, has other hard links, or is larger.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise RefusedError(f"cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as handle:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise RefusedError("is no ordinary file; leave it out")
        if state.st_nlink > 1:
            raise RefusedError("has another hard link; copy its content")
        content = handle.read(limit + 1)
    if len(content) > limit:
        raise RefusedError(f"is larger than {data_size(limit)}; make it smaller or leave it out")
    return content


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        RefusedError: it is not JSON, too large or too deep, or has an ambiguous or unprintable part.
    """
    return parse_json(read_bytes(path, MAX_JSON_BYTES))


def parse_json(content: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        RefusedError: as `read_json`.
    """
    if _depth(content) > MAX_DEPTH:
        raise RefusedError(f"has more than {MAX_DEPTH} levels; a file of the suite has fewer")
    try:
        return json.loads(
            content,
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_int=functools.partial(_number, int),
            parse_float=functools.partial(_number, float),
        )
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise RefusedError(f"is not valid JSON ({reason}); write it again with `submit`") from None


def _depth(content: bytes) -> int:
    """Return how deep objects and lists are within each other, without parsing them."""
    deepest = level = 0
    for bracket in _NO_BRACKETS.sub(b"", content):
        level += 1 if bracket in b"[{" else -1
        deepest = max(deepest, level)
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RefusedError("has a key twice in one object; readers would disagree about its value")
    for key, value in pairs:
        for text in (key, *(value if isinstance(value, list) else (value,))):
            if isinstance(text, str) and (hidden := hidden_character(text)):
                raise RefusedError(f"has the invisible character U+{ord(hidden):04X} in a text; remove it")
    return found


def hidden_character(text: str) -> str | None:
    """Return the first character that a reader does not see: of control, or of direction; None if there is none."""
    return next((one for one in text if one not in "\n\t" and unicodedata.category(one) in {"Cc", "Cf", "Cs"}), None)


def _number(kind: type[int] | type[float], text: str) -> int | float:
    """Return a number that every reader can hold."""
    value = kind(text) if len(text) <= MAX_DIGITS else math.inf
    if not -MAX_NUMBER < value < MAX_NUMBER:
        raise RefusedError(f"has the number {text[:12]}..., which is too large; unknown is null")
    return value


def _no_constant(name: str) -> NoReturn:
    raise RefusedError(f"has the number {name}, which is not JSON; unknown is null")
