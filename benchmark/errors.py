"""Errors whose message is meant for the user: one line that says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchmarkError(Exception):
    """Bad input or a missing part; the command line prints the message and exits with 2, without a traceback."""


class MissingInputError(BenchmarkError):
    """Data or a checkpoint that a trial needs is not there."""


def closest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: ` (did you mean 'x'?)`, or the valid names, or nothing when there are none."""
    names = sorted(known)
    match = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if match:
        return f" (did you mean '{match[0]}'?)"
    return f" (valid: {', '.join(names)})" if names else ""
