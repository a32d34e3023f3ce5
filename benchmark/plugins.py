"""Entry points of installed packages: methods, datasets, backbones, recipes, grids, protocols, papers."""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import warnings
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)


@functools.cache
def installed(kind: str) -> tuple[tuple[str, importlib.metadata.EntryPoint], ...]:
    """Return the entry points `aat_benchmark.KIND` of installed packages, each with a description."""
    entries = sorted(importlib.metadata.entry_points(group=f"aat_benchmark.{kind}"), key=lambda entry: entry.name)
    logger.debug("%d entry points of aat_benchmark.%s", len(entries), kind)
    return tuple(
        (f"entry point '{entry.name}' of {entry.dist.name if entry.dist else 'a package'}", entry) for entry in entries
    )


def load_installed(kind: str, accept: Callable[[str, Any], None]) -> None:
    """Load the entry points of a kind; one that raises is reported and left out.

    Args:
        kind: `methods`, `datasets`, `backbones`, `recipes`, `grids`, `protocols` or `papers`.
        accept: called with the name and the object of each; it may raise.
    """
    for description, entry in installed(kind):
        try:
            accept(entry.name, entry.load())
        except Exception as error:  # the package may raise anything
            warn_left_out(description, error)


def warn_left_out(description: str, error: BaseException) -> None:
    """Warn that a file or an entry point cannot be used; the suite works without it."""
    warnings.warn(f"{description} is left out: {type(error).__name__}: {error}", stacklevel=3)
