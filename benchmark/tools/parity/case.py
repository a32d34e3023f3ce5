"""One comparison and its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.errors import BenchmarkError, first_line

Content = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """Result of a case of a golden file.

    Attributes:
        kind: of the case.
        name: of the case.
        error64: largest absolute error in float64; None if the case has no such part.
        error32: the same in float32.
        problems: what is wrong; empty if the case passes.
    """

    kind: str
    name: str
    error64: float | None
    error32: float | None
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Return True if nothing is wrong."""
        return not self.problems

    def line(self) -> str:
        """Return the outcome as one line."""
        errors = [f"{'-' if error is None else f'{error:.1e}':>8}" for error in (self.error64, self.error32)]
        text = f"{'pass' if self.passed else 'FAIL'}  {self.kind:12} f64 {errors[0]}  f32 {errors[1]}  {self.name}"
        return "  ".join([text, *self.problems])


@dataclass(frozen=True)
class Case:
    """A case of a golden file, which has not been run.

    Attributes:
        kind: of the case.
        name: of the case.
        run: runs it and returns its outcome.
    """

    kind: str
    name: str
    run: Callable[[], Outcome]

    def outcome(self) -> Outcome:
        """Run the case; one that cannot be run fails."""
        try:
            return self.run()
        except (BenchmarkError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            return Outcome(self.kind, self.name, None, None, (first_line(error),))


def unknown_case(kind: str, key: str) -> Case:
    """Return a case that fails, for a part of a golden file that this suite does not know."""
    return Case(kind, key, lambda: Outcome(kind, key, None, None, (f"unknown kind of case '{key}'",)))


def gap(found: Any, expected: Any) -> float:
    """Return the largest absolute difference; infinite if shapes differ or a value is not finite."""
    one, other = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if one.shape != other.shape or not np.isfinite(one).all():
        return float("inf")
    return float(np.abs(one - other).max()) if one.size else 0.0


def beyond(label: str, error: float, tolerance: float) -> Iterable[str]:
    """Yield a problem if an error is larger than its tolerance."""
    if not error <= tolerance:
        yield f"{label} is off by {error:.1e}, allowed are {tolerance:.0e}"
