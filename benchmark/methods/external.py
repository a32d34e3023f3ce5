"""Methods at a place: `./mine.py`, `./mine.py:Mine`, `package.module:Mine`."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from benchmark.errors import BenchmarkError
from benchmark.methods.contract import Method
from benchmark.methods.origin import FILE_MODULE, content_digest, is_registered, unregistered

logger = logging.getLogger(__name__)

_FILE = re.compile(r"(?P<file>.+\.py)(?::(?P<name>\w+))?")
_MODULE = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>\w+)")
T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Where a method is: `./mine.py`, `./mine.py:Mine` or `package.module:Mine`.

    Attributes:
        text: the place as it was written, for messages.
        file: absolute path of the file; None for a module.
        module: name of the module; None for a file.
        name: name of the class; None takes the only method of the file.
    """

    text: str
    file: Path | None
    module: str | None
    name: str | None


@dataclass(frozen=True)
class UserFile:
    """A user's file that was run.

    Attributes:
        path: absolute path.
        digest: first 12 hex digits of the sha256 of the content that was run.
        module: the result.
    """

    path: Path
    digest: str
    module: ModuleType


def is_place(text: str) -> bool:
    """Return whether a text is the place of a method, instead of its name."""
    return bool(_FILE.fullmatch(text) or _MODULE.fullmatch(text))


def parse_place(text: str) -> Place:
    """Parse a text that `is_place` accepts.

    Raises:
        BenchmarkError: there is no such file.
    """
    if match := _FILE.fullmatch(text):
        path = Path(match["file"]).resolve()
        if not path.is_file():
            raise BenchmarkError(f"{match['file']}: no such file")
        return Place(text, path, None, match["name"])
    match = _MODULE.fullmatch(text)
    assert match is not None
    return Place(text, None, match["module"], match["name"])


def run_file(path: Path, previous: UserFile | None = None) -> UserFile:
    """Run a user's file as a module, unless it still has the content of `previous`.

    Args:
        path: absolute path.
        previous: the file as it was run last time.

    Raises:
        Exception: whatever the file raises; the module of `previous` stays in place then.
    """
    content = path.read_bytes()
    digest = content_digest(content)
    if previous is not None and previous.digest == digest:
        return previous
    logger.info("reading method file %s, digest %s%s", path, digest, " (it has changed)" if previous else "")
    # the module's name holds the path, so that two files of one name do not replace each other
    stem = re.sub(r"[^A-Za-z0-9_]", "_", path.stem)
    name = f"{FILE_MODULE}{stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look there
    try:
        # Not the import system's loader: its cache compares time and size, so it misses a quick edit of equal length.
        exec(compile(content, str(path), "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[name]
        if previous is not None:
            sys.modules[name] = previous.module
        raise
    return UserFile(path, digest, module)


def import_or_explain(text: str, load: Callable[[], T]) -> T:
    """Return what `load` returns.

    Args:
        text: the place as it was written, for the message.
        load: imports a module or runs a file.

    Raises:
        BenchmarkError: one line with the reason, whatever `load` raises.
    """
    try:
        return load()
    except BenchmarkError as error:
        raise BenchmarkError(f"{text}: {error}") from None
    except (Exception, SystemExit) as error:
        line = getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        raise BenchmarkError(f"{text} does not import: {type(error).__name__}: {error}{where}") from None


def choose_class(module: ModuleType, place: Place) -> type[Method]:
    """Return the class that a place names, or the only method that its module defines.

    Raises:
        BenchmarkError: there is no such method, there are several, or it is not registered.
    """
    found = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, Method)
        and (value.__module__ == module.__name__ if place.name is None else key == place.name)
    }
    registered = {key: value for key, value in found.items() if is_registered(value)}
    if found and not registered:
        raise BenchmarkError(f"{place.text}: {unregistered(next(iter(found)))}")
    if len(registered) != 1:
        names = ", ".join(registered)
        reason = f"has {names}: add :CLASS" if names else "has no such method (a class derived from Method)"
        raise BenchmarkError(f"{place.text}: {reason}")
    return next(iter(registered.values()))
