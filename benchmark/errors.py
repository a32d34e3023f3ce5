"""Errors whose message is meant for the user: what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class BenchmarkError(Exception):
    """Wrong input, or a part that is missing.

    The command line prints the message in one line and exits with 2, without a traceback.
    """


class ArgumentError(BenchmarkError):
    """A wrong value of an argument of an API call; the command line names its option instead.

    Attributes:
        argument: name of the argument.
    """

    def __init__(self, argument: str, reason: str, value: object = None) -> None:
        self._rest = f": {reason}" if value is None else f" {value}: {reason}"
        self.argument = argument
        super().__init__(self.text(argument))

    def text(self, name: str) -> str:
        """Return the message with another name of the argument."""
        return f"{name}{self._rest}"


class MissingInputError(BenchmarkError):
    """Data or a checkpoint that a trial needs is missing."""


class MissingInputsError(MissingInputError):
    """Several inputs of a grid are missing.

    Attributes:
        inputs: one line per missing input.
        advice: what to do, in one line.
    """

    def __init__(self, inputs: Sequence[str], advice: str) -> None:
        super().__init__("\n".join([advice, *(f"  missing input: {line}" for line in inputs)]))
        self.inputs = tuple(inputs)
        self.advice = advice

    def __reduce__(self) -> tuple[type[MissingInputsError], tuple[Sequence[str], str]]:
        return MissingInputsError, (self.inputs, self.advice)  # so that it can be sent from another process


def first_line(error: BaseException) -> str:
    """Return an error in one line: its kind and the first line of its message."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def closest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelt name: ` (did you mean 'x'?)`, or the valid names, or nothing if there are none."""
    names = sorted(known)
    match = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if match:
        return f" (did you mean '{match[0]}'?)"
    return f" (valid: {', '.join(names)})" if names else ""
