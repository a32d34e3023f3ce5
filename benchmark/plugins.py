"""Entry points of installed packages: methods, datasets, backbones, recipes, grids, protocols."""

from __future__ import annotations

import functools
import importlib.metadata
import warnings
from collections.abc import Callable
from typing import Any


@functools.cache
def installed(kind: str) -> tuple[tuple[str, importlib.metadata.EntryPoint], ...]:
    """The entry points `aat_benchmark.KIND` of installed packages, each with what to call it in a message."""
    entries = sorted(importlib.metadata.entry_points(group=f"aat_benchmark.{kind}"), key=lambda each: each.name)
    return tuple(
        (f"entry point '{entry.name}' of {entry.dist.name if entry.dist else 'a package'}", entry) for entry in entries
    )


def load_installed(kind: str, accept: Callable[[str, Any], None]) -> None:
    """Give `accept` the name and the object of every entry point of a kind; what raises is reported and left out."""
    for what, entry in installed(kind):
        try:
            accept(entry.name, entry.load())
        except Exception as error:  # whatever the package does
            warn_left_out(what, error)


def warn_left_out(what: str, error: BaseException) -> None:
    """Say that something of the user's does not fit; the rest goes on."""
    warnings.warn(f"{what} is left out: {type(error).__name__}: {error}", stacklevel=3)
