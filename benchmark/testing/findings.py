"""Outcomes of conformance checks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from benchmark.errors import BenchmarkError
from benchmark.places import line_of_error

Checked = TypeVar("Checked")
Notes = tuple[str, ...] | None  # what a check found out and is no fault


class Fault(Exception):  # noqa: N818 - the outcome of a check, not an error of the suite
    """What is checked breaks the contract; the message says how.

    Args:
        message: what is wrong, one line.
        is_final: whether the checks that follow would only repeat it, or blame something else.
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class Outcome(NamedTuple):
    """What a check found.

    Attributes:
        fault: what is wrong, one line; None if the check passed.
        notes: what else is worth knowing, one line each.
        is_final: whether the checks that follow are left out.
    """

    fault: str | None
    notes: tuple[str, ...] = ()
    is_final: bool = False


@dataclass(frozen=True)
class Finding:
    """The outcome of a check.

    Attributes:
        check: its name.
        about: what it checks, one line.
        fault: what is wrong, one line; None if the check passed.
        seconds: how long it took.
        notes: what else is worth knowing, one line each.
    """

    check: str
    about: str
    fault: str | None
    seconds: float
    notes: tuple[str, ...] = ()


def outcome(check: Callable[[Checked], Notes], checked: Checked) -> Outcome:
    """Run one check and return what it found."""
    try:
        return Outcome(None, check(checked) or ())
    except Fault as fault:
        return Outcome(str(fault), is_final=fault.is_final)
    except BenchmarkError as error:
        return Outcome(str(error))
    except Exception as error:  # the code from outside may raise anything
        return Outcome(line_of_error(error))


def outcomes(checks: Mapping[str, Callable[[Checked], Notes]], checked: Checked) -> Iterator[Finding]:
    """Run checks and yield each outcome as soon as it is known.

    The others are left out after a final fault, and if the first one fails.
    """
    names = list(checks)
    for number, (name, check) in enumerate(checks.items()):
        start = time.perf_counter()
        found = outcome(check, checked)
        about = (check.__doc__ or "").partition("\n")[0].rstrip(".")
        is_last = found.fault is not None and (found.is_final or number == 0)
        left_out = names[number + 1 :] if is_last else []
        notes = (*found.notes, *([f"not checked until this is mended: {', '.join(left_out)}"] if left_out else []))
        yield Finding(name, about, found.fault, time.perf_counter() - start, notes)
        if is_last:
            return
