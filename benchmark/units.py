"""Durations, sizes and counts as text for people."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmark.errors import ArgumentError

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def parse_duration(text: str, argument: str) -> float:
    """Return `8h` in seconds.

    Args:
        text: a number with one of the units s, min, h, d.
        argument: the argument that holds the text, for messages.

    Raises:
        BenchmarkError: not such a text.
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(s|min|h|d)", text)
    if not match or not float(match[1]):
        raise ArgumentError(argument, "expected a time such as 8h, 30min or 2d", text)
    return float(match[1]) * SECONDS[match[2]]


def duration(seconds: float | None) -> str:
    """Return a readable duration: `40 s`, `12 min`, `3.4 h`, `2.1 d`, `?`."""
    if seconds is None:
        return "?"
    for unit, size, limit in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86400:.3g} d"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, whose plural ends in s: `1 trial`, `3 trials`, `1,000 clips`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def megabytes(size: int) -> str:
    """Return a readable size of small things: `0.5 MB`, `60 MB`, `1,200 MB`."""
    return f"{size / 1e6:.2g} MB" if size < 1e7 else f"{size / 1e6:,.0f} MB"


def gigabytes(size: int) -> str:
    """Return a readable size."""
    return f"{size / 1e9:.2g} GB" if size < 1e10 else f"{size / 1e9:.0f} GB"


def score_text(metric: str, scores: Mapping[str, float | None]) -> str:
    """Return the score of the test split, else of the validation split: `accuracy 62.5 % (test)`; empty without one.

    Args:
        metric: its name.
        scores: scores in [0, 1] by split; None for one that is not finite.
    """
    known = {split: value for split, value in scores.items() if value is not None}
    split = next((split for split in ("test", "validation") if split in known), None)
    return f"{metric} {100 * known[split]:.1f} % ({split})" if split else ""
