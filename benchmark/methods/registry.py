"""The known methods, by name: those of `baselines/`, of installed packages, and of the user's files.

`REGISTRY` is the registry of this process, and the functions of this module are its methods, as in Python's `random`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from benchmark.errors import BenchmarkError, closest
from benchmark.methods import huggingface
from benchmark.methods.contract import Composed, Method
from benchmark.methods.origin import is_registered, method_text, no_file, of_suite, unregistered
from benchmark.methods.resolve import check_class, check_name, check_source, compose, instantiate, require_compatible
from benchmark.places import (
    FILE_MODULE,
    External,
    UserFile,
    changed_file,
    choose_class,
    defining_file,
    describe,
    file_hint,
    import_or_explain,
    is_place,
    parse_place,
    run_file,
)
from benchmark.plugins import installed, warn_left_out
from benchmark.spec.grammar import Ref, parse_refs
from benchmark.spec.request import MethodChoice

__all__ = [
    "REGISTRY", "Registry", "build_method", "check_name", "externals", "find_method", "load_externals", "load_place",
    "lookup_method", "method_text", "methods", "methods_current", "register", "resolve_methods", "source_file",
]  # fmt: skip

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=type[Method])


class Registry:
    """Methods by name.

    The suite's files and the entry points of installed packages are imported once, at the first question. A user's file
    is run when its place is named, and again when its content has changed: its names then stand for the new classes.
    """

    def __init__(self) -> None:
        self._methods: dict[str, type[Method]] = {}
        self._files: dict[Path, UserFile] = {}
        self._complete = False

    def add(self, method: type[Method]) -> None:
        """Enter a class that has its name, label and source; `register` calls this.

        Raises:
            BenchmarkError: the class does not fit the contract, or another class has its name.
        """
        check_name(method.name)
        namesake = self._methods.get(method.name)
        if namesake is not None and _definition(namesake) != _definition(method):
            raise BenchmarkError(
                f"method '{method.name}' is registered twice: {_written_place(namesake)} and {_written_place(method)}"
            )
        check_class(method, _written_place(method))
        if not of_suite(method) and not method.__module__.startswith(FILE_MODULE):
            method.external = describe(method)
        self._methods[method.name] = method

    def forget(self, name: str) -> None:
        """Remove a method. One from a user's file is entered again when its place is named."""
        self._methods.pop(name, None)

    def methods(self) -> dict[str, type[Method]]:
        """Return every method that trials can use, by name, sorted; without `peft/*`.

        A file of the suite or an entry point that does not import is reported and left out.
        """
        self._import_all()
        return {name: method for name, method in sorted(self._methods.items()) if of_suite(method) or method.external}

    def find(self, name: str, source: str | None = None) -> type[Method]:
        """Return the method of a name. A user's file that has changed is read again.

        Args:
            name: as registered, or `peft/NAME` for a tuner of Hugging Face PEFT.
            source: `External.identity` in a trial request. If the known method is this version, its file is not read
                again, so that trials that are running outlive an edit.

        Raises:
            BenchmarkError: there is no such method, or its file does not import any more.
        """
        if name.startswith(huggingface.PREFIX):
            return huggingface.find(name)
        self._import_all()
        method = self._methods.get(name)
        if method is not None and method.external and method.external.identity != source:
            if path := changed_file(method.external):
                self._run(path, method.external.place)
            method = self._methods.get(name)
        if method is None:
            raise BenchmarkError(f"unknown method '{name}'{file_hint(name) or closest(name, self._methods)}")
        if not of_suite(method) and method.external is None:
            raise BenchmarkError(f"method '{name}': {no_file(method)}")
        return method

    def load(self, text: str) -> type[Method]:
        """Return the method at a place, such as `./mine.py:Mine` or `package.module:Mine`, and enter it.

        Raises:
            BenchmarkError: no such file, it does not import, or it has no such method.
        """
        self._import_all()
        place = parse_place(text)
        with self._all_or_nothing():
            if place.file is not None:
                module = self._run(place.file, text).module
            else:
                module = import_or_explain(text, functools.partial(importlib.import_module, place.module or ""))
            method = choose_class(module, place, Method, is_registered, unregistered("{name}"))  # type: ignore[type-abstract]
            self._methods[method.name] = method
        return method

    def resolve(self, text: str, where: str) -> list[Composed]:
        """Return the methods that a text names: `aat_ms[bottleneck=64]`, `aat_m+prompt`, `./mine.py`, or a sweep.

        Args:
            text: in the grammar of `benchmark.spec.grammar`.
            where: an option or a grid, for messages.

        Raises:
            BenchmarkError: unknown name or hyper-parameter, or a value out of bounds.
        """
        try:
            return [compose(tuple(self._instance(ref) for ref in refs), text) for refs in parse_refs(text)]
        except BenchmarkError as error:
            raise BenchmarkError(f"{where}: {error}") from None

    def build(self, choice: MethodChoice) -> Composed:
        """Return the method of a trial request.

        Raises:
            BenchmarkError: it is unknown, or its file or package is not the one that the trial was planned with.
        """
        parts = []
        for part in choice.parts:
            method = self.find(part.name, part.source)
            check_source(part.name, method.external, part.source)
            parts.append(instantiate(method, part.options))
        return Composed(tuple(parts))

    def current(self, choice: MethodChoice) -> bool:
        """Return whether the methods of a trial are those that a new trial would use.

        A method from outside the suite that is not loaded cannot be compared and counts as unchanged.
        """
        for part in choice.parts:
            try:
                external = self.find(part.name).external
            except BenchmarkError:
                if part.source is None:
                    return False
                continue
            if (external and external.identity) != part.source:
                return False
        return True

    def externals(self, choices: Iterable[MethodChoice]) -> dict[str, External]:
        """Return where the methods of trials come from that are not the suite's, by name."""
        sources = {part.name: part.source for choice in choices for part in choice.parts}
        return {name: external for name, source in sources.items() if (external := self.find(name, source).external)}

    def load_externals(self, places: Mapping[str, str]) -> None:
        """Load methods in another process than the one that planned the trials.

        Args:
            places: `External.place` by name; names that are known already are left alone.

        Raises:
            BenchmarkError: a file is missing here, or does not import.
        """
        for name, place in places.items():
            if name not in self._methods and is_place(place):
                self.load(place)

    def source_file(self, name: str) -> Path:
        """Return the file that defines a method.

        Raises:
            BenchmarkError: there is no such method.
        """
        return Path(inspect.getfile(self.find(name)))

    def lookup(self, text: str) -> type[Method]:
        """Return the method of a name or a place; see `find` and `load`."""
        return self.load(text) if is_place(text) else self.find(text)

    def _instance(self, ref: Ref) -> Method:
        method, options = self.lookup(ref.name), dict(ref.options)
        require_compatible(method, options)
        return instantiate(method, options)

    def _import_all(self) -> None:
        """Import the suite's files and the entry points of installed packages, once."""
        if self._complete:
            return
        self._complete = True
        for module in pkgutil.iter_modules(importlib.import_module("baselines").__path__):
            load = functools.partial(importlib.import_module, f"baselines.{module.name}")
            self._import_or_leave_out(f"baselines/{module.name}.py", load)
        for name, entry in installed("methods"):
            self._import_or_leave_out(name, entry.load)
        logger.debug("%d methods are known", len(self._methods))

    def _import_or_leave_out(self, name: str, load: Callable[[], object]) -> None:
        try:
            with self._all_or_nothing():
                loaded = load()
                if is_registered(loaded):  # its module may have been imported before
                    self.add(loaded)
        except (Exception, SystemExit) as error:
            warn_left_out(name, error)

    def _run(self, path: Path, text: str) -> UserFile:
        """Run a user's file if it is new or has changed; its methods replace those of its last content.

        Args:
            path: absolute path.
            text: the place as it was written, for messages.
        """

        def run() -> UserFile:
            self._methods = {name: old for name, old in self._methods.items() if defining_file(old) != path}
            return run_file(path, self._files.get(path))

        with self._all_or_nothing():
            file = import_or_explain(text, run)
            for method in vars(file.module).values():
                if is_registered(method) and method.__module__ == file.module.__name__:
                    method.external = External(f"{path}:{method.__qualname__}", file.digest)
                    self._methods[method.name] = method
        self._files[path] = file
        return file

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Leave no method entered by a file that fails."""
        before = self._methods
        self._methods = dict(before)
        try:
            yield
        except BaseException:
            self._methods = before
            raise


REGISTRY = Registry()
methods = REGISTRY.methods
find_method = REGISTRY.find
load_place = REGISTRY.load
lookup_method = REGISTRY.lookup
resolve_methods = REGISTRY.resolve
build_method = REGISTRY.build
methods_current = REGISTRY.current
externals = REGISTRY.externals
load_externals = REGISTRY.load_externals
source_file = REGISTRY.source_file


def register(name: str, *, label: str, source: str) -> Callable[[M], M]:
    """Class decorator that makes a method known under `name`.

    Args:
        name: lower-case word, as written on the command line.
        label: as written in tables and figures.
        source: where the method is described.

    Raises:
        BenchmarkError: the name does not fit, another class has it, or the class does not fit the contract.
    """

    def enter(method: M) -> M:
        method.name, method.label, method.source = name, label, source
        REGISTRY.add(method)
        return method

    return enter


def _definition(method: type[Method]) -> tuple[str, str]:
    """Return what a class has in common with its later versions: its file (else its module) and its name in there."""
    return str(defining_file(method) or method.__module__), method.__qualname__


def _written_place(method: type[Method]) -> str:
    """Return where a class is, for messages."""
    if method.__module__.startswith(FILE_MODULE):
        return f"{inspect.getfile(method)}:{method.__qualname__}"
    return f"{method.__module__}.{method.__qualname__}"
