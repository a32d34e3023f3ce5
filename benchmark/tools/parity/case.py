"""One comparison and its outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Content = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a case of a golden file went.

    `error64` and `error32` are the largest absolute errors in float64 and float32, None where a case has no such part;
    `problems` say what is wrong, nothing when the case passes.
    """

    kind: str
    name: str
    error64: float | None
    error32: float | None
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when nothing is wrong."""
        return not self.problems

    def line(self) -> str:
        """The outcome in one line."""
        errors = [f"{'-' if error is None else f'{error:.1e}':>8}" for error in (self.error64, self.error32)]
        text = f"{'pass' if self.passed else 'FAIL'}  {self.kind:12} f64 {errors[0]}  f32 {errors[1]}  {self.name}"
        return "  ".join([text, *self.problems])


def gap(found: Any, expected: Any) -> float:
    """Largest absolute difference; infinite where shapes differ or something is not finite."""
    one, other = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if one.shape != other.shape or not np.isfinite(one).all():
        return float("inf")
    return float(np.abs(one - other).max()) if one.size else 0.0


def beyond(label: str, error: float, tolerance: float) -> Iterable[str]:
    """A problem when an error is over its tolerance."""
    if not error <= tolerance:
        yield f"{label} is off by {error:.1e}, allowed are {tolerance:.0e}"
