"""Code from outside the suite: `./mine.py`, `./mine.py:Mine`, `package.module:Mine`; of methods and of backbones."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import inspect
import logging
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from benchmark.errors import BenchmarkError, first_line

logger = logging.getLogger(__name__)

SUITE = ("baselines", "benchmark")  # top-level packages of the suite
FILE_MODULE = "aat_plugin_"  # prefix of the names of modules that are run from a user's file
DIGITS = 12
_FILE = re.compile(r"(?P<file>.+\.py)(?::(?P<name>\w+))?")
_MODULE = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>\w+)")
T = TypeVar("T")

_packages: set[str] = set()  # top-level names of modules that define methods or backbones


@dataclass(frozen=True)
class External:
    """Where a method or backbone from outside the suite comes from.

    Attributes:
        place: FILE.py:CLASS, MODULE:CLASS or FILE.yaml.
        digest: first 12 hex digits of the sha256 of its file; None if the package's version identifies it.
        distribution: name of the installed package, if it is in one.
        version: of that package.
    """

    place: str
    digest: str | None
    distribution: str | None = None
    version: str | None = None

    @property
    def identity(self) -> str:
        """The part of a trial's id that changes with its code: digest, or distribution and version."""
        return self.digest or f"{self.distribution} {self.version}"


@dataclass(frozen=True)
class Place:
    """Where a class is: `./mine.py`, `./mine.py:Mine` or `package.module:Mine`.

    Attributes:
        text: the place as it was written, for messages.
        file: absolute path of the file; None for a module.
        module: name of the module; None for a file.
        name: name of the class; None takes the only one of the file.
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
    """Return whether a text is the place of a class, instead of a name."""
    return bool(_FILE.fullmatch(text) or _MODULE.fullmatch(text))


def file_hint(name: str) -> str:
    """Return how to name `NAME.py` of the current folder, for somebody who named it without `./` and `.py`."""
    file = f"./{name.removesuffix('.py')}.py"
    return f" (the file is named with its path: {file})" if Path(file).is_file() else ""


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
    logger.info("reading file %s, digest %s%s", path, digest, " (it has changed)" if previous else "")
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
        if isinstance(error, SyntaxError):
            where = f", line {error.lineno}" if error.lineno else ""
            raise BenchmarkError(f"{text} does not import: {type(error).__name__}: {error.msg}{where}") from None
        place = place_of_error(error)
        where = f" ({place})" if place else ""
        raise BenchmarkError(f"{text} does not import: {first_line(error)}{where}") from None


def choose_class(
    module: ModuleType, place: Place, base: type[T], is_registered: Callable[[object], bool], decorator: str
) -> type[T]:
    """Return the class that a place names, or the only one of its kind that its module defines.

    Args:
        module: the module.
        place: where it is.
        base: the class that it derives from.
        is_registered: whether a class has its decorator.
        decorator: what to put above a class that has none; `{name}` stands for the class.

    Raises:
        BenchmarkError: there is no such class, there are several, or it is not registered.
    """
    found = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, base)
        and (value.__module__ == module.__name__ if place.name is None else key == place.name)
    }
    registered = {key: value for key, value in found.items() if is_registered(value)}
    if found and not registered:
        raise BenchmarkError(f"{place.text}: {decorator.format(name=next(iter(found)))}")
    if len(registered) != 1:
        names = ", ".join(registered)
        kind = "method" if base.__name__ == "Method" else "backbone"
        reason = f"has {names}: add :CLASS" if names else f"has no such {kind} (a class derived from {base.__name__})"
        raise BenchmarkError(f"{place.text}: {reason}")
    return next(iter(registered.values()))


def line_of_error(error: BaseException) -> str:
    """Return an error in one line, after its place in code from outside the suite: `mine.py, line 4, in adapt: ...`.

    The place is the innermost frame in such a file; an error that passed none is named alone.
    """
    place = place_of_error(error)
    return f"{place}: {first_line(error)}" if place else first_line(error)


def place_of_error(error: BaseException) -> str | None:
    """Return file, line and function of the innermost frame in code from outside the suite; None if there is none."""
    inside = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_outside(frame.f_globals.get("__name__", ""))
    ]
    if not inside:
        return None
    code, line = inside[-1][0].f_code, inside[-1][1]
    return f"{Path(code.co_filename).name}, line {line}, in {code.co_name}"


def _is_outside(module: str) -> bool:
    """Return whether a module defines methods or backbones from outside the suite, or is of their package."""
    return module.startswith(FILE_MODULE) or module.partition(".")[0] in _packages


def defining_file(cls: type) -> Path | None:
    """Return the absolute path of the file that defines a class.

    None where another process cannot load the class from a file: it was defined in a notebook cell, in a REPL, inside a
    function, or in the script that is running, which would run twice.
    """
    if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
        return None
    try:
        path = Path(inspect.getfile(cls)).resolve()
    except (TypeError, OSError):  # the module has no file
        return None
    return path if path.is_file() else None


def describe(cls: type) -> External | None:
    """Return where an imported class from outside the suite comes from; None for a class without a file."""
    path = defining_file(cls)
    if path is None:
        return None
    top, _, rest = cls.__module__.partition(".")
    _packages.add(top)
    owners = _owners().get(top, [])
    # a module beside a notebook may not be importable in other processes: name its file
    alone = not rest and not owners and path.name != "__init__.py"
    return External(
        place=f"{path if alone else cls.__module__}:{cls.__qualname__}",
        digest=content_digest(path.read_bytes()),
        distribution=owners[0] if owners else None,
        version=importlib.metadata.version(owners[0]) if owners else None,
    )


def changed_file(external: External) -> Path | None:
    """Return the file of a class if its content is another one than when the class was loaded, else None.

    Only files are compared: the modules of a package are imported once in a process.
    """
    match = re.fullmatch(r"(.+\.py):\w+", external.place)
    path = Path(match[1]) if match else None
    return path if path and path.is_file() and content_digest(path.read_bytes()) != external.digest else None


def content_digest(content: bytes) -> str:
    """Return the first 12 hex digits of the sha256 of a file's content."""
    return hashlib.sha256(content).hexdigest()[:DIGITS]


@functools.cache
def _owners() -> dict[str, list[str]]:
    """Return distributions by top-level package; cached, as reading them takes a while."""
    return {name: list(owners) for name, owners in importlib.metadata.packages_distributions().items()}
