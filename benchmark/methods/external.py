"""Methods from outside the suite: a file, a class of an installed module, or an installed package's entry points."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from benchmark.errors import BenchmarkError
from benchmark.methods.contract import External, Method

_FILE = re.compile(r"(?P<file>.+\.py)(?::(?P<name>\w+))?")
_MODULE = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>\w+)")
FILE_MODULE = "aat_plugin_"  # begins the names of modules that are run from a file
DIGITS = 12


def is_place(text: str) -> bool:
    """Whether a method is named by where it is: `./mine.py`, `./mine.py:Mine`, `package.module:Mine`."""
    return bool(_FILE.fullmatch(text) or _MODULE.fullmatch(text))


def load_place(text: str) -> type[Method]:
    """The method's class at a place; the file is run, once as long as it stays the same.

    Raises:
        BenchmarkError: no such file, it does not import, or it has no such method.
    """
    if match := _FILE.fullmatch(text):
        path = Path(match["file"]).resolve()
        if not path.is_file():
            raise BenchmarkError(f"{match['file']}: no such file")
        method = _choose(_load(text, lambda: _run(path, _digest(path))), match["name"], text)
        place = f"{path}:{method.__name__}"
    else:
        match = _MODULE.fullmatch(text)
        assert match is not None
        module = match["module"]
        method = _choose(_load(text, lambda: importlib.import_module(module)), match["name"], text)
        place = text
    if "external" not in vars(method):
        method.external = describe(method, place)
    return method


def describe(method: type[Method], place: str | None = None) -> External:
    """Where a class comes from, with its package's name and version where it is of one."""
    top = method.__module__.partition(".")[0]
    owners = _owners().get(top, [])
    return External(
        place=place or f"{method.__module__}:{method.__qualname__}",
        digest=_digest(Path(inspect.getfile(method))),
        distribution=owners[0] if owners else None,
        version=importlib.metadata.version(owners[0]) if owners else None,
    )


@functools.cache
def _owners() -> dict[str, list[str]]:
    return {name: list(owners) for name, owners in importlib.metadata.packages_distributions().items()}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS]


@functools.cache
def _run(path: Path, digest: str) -> ModuleType:
    """Import a file under a name of its own, so that two files of one name do not meet."""
    stem = re.sub(r"[^A-Za-z0-9_]", "_", path.stem)
    name = f"{FILE_MODULE}{stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _load(text: str, load: Callable[[], ModuleType]) -> ModuleType:
    """Import, or say in a line why that fails; `text` is the place as it was written."""
    try:
        return load()
    except BenchmarkError as error:
        raise BenchmarkError(f"{text}: {error}") from None
    except (Exception, SystemExit) as error:
        line = getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        raise BenchmarkError(f"{text} does not import: {type(error).__name__}: {error}{where}") from None


def _choose(module: ModuleType, name: str | None, text: str) -> type[Method]:
    """The class of that name, or the only method that the module defines."""
    found = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, Method)
        and (value.__module__ == module.__name__ if name is None else key == name)
    }
    ready = {key: value for key, value in found.items() if "name" in vars(value)}
    if found and not ready:
        raise BenchmarkError(f'{text}: put @register("NAME", label=..., source=...) above class {next(iter(found))}')
    if len(ready) != 1:
        has = f"has {', '.join(ready)}: add :CLASS" if ready else "has no such method (a class derived from Method)"
        raise BenchmarkError(f"{text}: {has}")
    return next(iter(ready.values()))
