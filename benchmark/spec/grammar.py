"""The grammar of methods and backbones on the command line and in grids: `NAME[key=value;key=v1,v2]`, `a+b`.

A value may be a list (`[a, b]`), a mapping (`{a: 1, b: 2}`) or a text in double quotes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.spec.yaml import parse_scalar

_PART = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<options>.*)\])?", re.DOTALL)
_OPEN, _CLOSE = "[{", "]}"
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')  # separators inside do not count; JSON's rules of escaping
_SPECIAL = re.compile(r'[\[\]{},;"]')


@dataclass(frozen=True)
class Ref:
    """One name with its options.

    Attributes:
        name: a name or a place.
        options: (key, value) in the order of the text.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()


def split_list(values: Iterable[str]) -> list[str]:
    """Split comma lists outside brackets: `["a,b[x=1,2]", "c"]` -> `["a", "b[x=1,2]", "c"]`."""
    return [part for value in values for part in _split(value, ",") if part]


def parse_refs(text: str) -> list[tuple[Ref, ...]]:
    """Return every combination that a text describes: `+` composes, a comma inside brackets sweeps.

    Raises:
        BenchmarkError: the text does not follow the grammar.
    """
    parts = _split(text, "+")
    if not all(parts):
        raise BenchmarkError(f"'{text}': a name is missing next to '+'")
    return list(itertools.product(*(_variants(part, text) for part in parts)))


def split_composition(method: str) -> list[str]:
    """Return the parts of a composition, with their options: `aat_m[bottleneck=8]+prompt` has two."""
    return _split(method, "+")


def unordered(method: str) -> tuple[str, ...]:
    """Return the parts of a composition in an order of their own: equal for `a+b` and `b+a`."""
    return tuple(sorted(split_composition(method)))


def bare_name(text: str) -> str:
    """Return `a+b` for `a[key=value]+b`: a method or backbone without its options."""
    return "+".join(part.partition("[")[0] for part in split_composition(text))


def canonical(name: str, options: Mapping[str, Any]) -> str:
    """Return `NAME[key=value;...]` with sorted keys, or `NAME` without options."""
    if not options:
        return name
    return f"{name}[{';'.join(f'{key}={_written(options[key])}' for key in sorted(options))}]"


def path_name(name: str, changed: str) -> str:
    """Return a file name for `name`, with a short hash of the non-default options in `changed` if there are any."""
    safe = re.sub(r"[^A-Za-z0-9_.+-]+", "_", name)
    return f"{safe}-{hashlib.sha256(changed.encode()).hexdigest()[:6]}" if changed else safe


def _written(value: Any) -> str:
    """Return the text of a value: bare if that is parsed as the same value, else JSON."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    plain = isinstance(value, str) and value.isprintable() and value == value.strip() and not _SPECIAL.search(value)
    return value if plain and parse_scalar(value) == value else json.dumps(value, sort_keys=True)


def _variants(part: str, whole: str) -> Iterator[Ref]:
    match = _PART.fullmatch(part)
    if match is None or not _balanced(match["options"] or ""):
        raise BenchmarkError(f"'{whole}': expected NAME[key=value;key=value], with '+' between names")
    keys: list[str] = []
    choices: list[list[Any]] = []
    for option in _split(match["options"] or "", ";"):
        if not option.strip():
            continue
        key, equals, value = option.partition("=")
        if not equals or not value.strip() or _SPECIAL.search(key):
            raise BenchmarkError(f"'{whole}': option '{option}' must have the form key=value")
        keys.append(key.strip())
        choices.append([parse_scalar(item) for item in _split(value, ",")])
    if len(set(keys)) != len(keys):
        raise BenchmarkError(f"'{whole}': an option is given twice")
    for values in itertools.product(*choices):
        yield Ref(match["name"].strip(), tuple(zip(keys, values, strict=True)))


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside brackets, braces and double quotes, and strip blanks."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(_without_quoted(text)):
        depth += (character in _OPEN) - (character in _CLOSE)
        if character == separator and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()]


def _without_quoted(text: str) -> str:
    """Return a text of the same length with blanks for what is in double quotes."""
    return _QUOTED.sub(lambda match: " " * len(match[0]), text)


def _balanced(text: str) -> bool:
    """Return whether every bracket and brace is closed by its own kind."""
    open_ones = []
    for character in _without_quoted(text):
        if character in _OPEN:
            open_ones.append(_CLOSE[_OPEN.index(character)])
        elif character in _CLOSE and (not open_ones or open_ones.pop() != character):
            return False
    return not open_ones
