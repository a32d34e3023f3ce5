"""Outcomes of conformance checks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from benchmark.errors import BenchmarkError, first_line

Checked = TypeVar("Checked")


class Fault(Exception):  # noqa: N818 - the outcome of a check, not an error of the suite
    """What is checked breaks the contract; the message says how."""


@dataclass(frozen=True)
class Finding:
    """The outcome of a check.

    Attributes:
        check: its name.
        about: what it checks, one line.
        fault: what is wrong, one line; None if the check passed.
        seconds: how long it took.
    """

    check: str
    about: str
    fault: str | None
    seconds: float


def outcome(check: Callable[[Checked], None], checked: Checked) -> str | None:
    """Run one check and return what is wrong, in one line; None if it passes."""
    try:
        check(checked)
    except Fault as fault:
        return str(fault)
    except BenchmarkError as error:
        return str(error)
    except Exception as error:  # the code from outside may raise anything
        return first_line(error)
    return None


def outcomes(checks: Mapping[str, Callable[[Checked], None]], checked: Checked) -> Iterator[Finding]:
    """Run checks and yield each outcome as soon as it is known; if the first one fails, the others are left out."""
    for number, (name, check) in enumerate(checks.items()):
        start = time.perf_counter()
        fault = outcome(check, checked)
        about = (check.__doc__ or "").partition("\n")[0].rstrip(".")
        yield Finding(name, about, fault, time.perf_counter() - start)
        if fault and not number:
            return
