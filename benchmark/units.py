"""Durations, sizes and counts as text for people."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmark.errors import ArgumentError

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
YEAR = 365.25 * 86400  # seconds
PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")


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
    """Return a readable duration: `35 ms`, `40 s`, `12 min`, `3.4 h`, `2.1 d`, `5.2 years`, `?`."""
    if seconds is None:
        return "?"
    if 0 < seconds < 0.1:
        return f"{plain(1000 * seconds)} ms"
    for unit, size, limit in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800), ("d", 86400, 2 * YEAR)):
        if seconds < limit:
            return f"{plain(seconds / size)} {unit}"
    return f"{plain(seconds / YEAR)} years"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, whose plural ends in s: `1 trial`, `3 trials`, `1,000 clips`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def quantity(value: float | None, unit: str) -> str:
    """Return a number with three digits and the prefix of its size: `48.7 GFLOPs`, `7.14 M`, `250`, `?`.

    Args:
        value: the number, not below zero; None if it is unknown.
        unit: the unit; empty for a count.
    """
    if value is None:
        return "?"
    prefix = next((index for index in range(len(PREFIXES) - 1) if float(f"{value:.3g}") < 1000 ** (index + 1)), None)
    index = len(PREFIXES) - 1 if prefix is None else prefix
    return f"{plain(value / 1000**index)} {PREFIXES[index]}{unit}".rstrip()


def data_size(size: float | None) -> str:
    """Return a readable number of bytes: `512 B`, `60 MB`, `1.2 GB`, `?`."""
    return quantity(size, "B")


def percent(share: float | None, digits: int = 2) -> str:
    """Return a share as `87.50 %`, `?` if it is unknown."""
    return "?" if share is None else f"{100 * share:.{digits}f} %"


def plain(number: float) -> str:
    """Return a number with three digits, and never with an exponent."""
    if number >= 100:
        return f"{number:,.0f}"
    if number < 1e-3:  # too small for its unit
        return "0" if number == 0 else "< 0.001"
    return f"{number:.3g}"


def score_text(metric: str, scores: Mapping[str, float | None]) -> str:
    """Return the score of the validation split, else of the test split: `accuracy 62.5 % (test)`; empty without one.

    Args:
        metric: its name.
        scores: scores in [0, 1] by split; None for one that is not finite.
    """
    known = {split: value for split, value in scores.items() if value is not None}
    split = next((split for split in ("validation", "test") if split in known), None)
    return f"{metric} {100 * known[split]:.1f} % ({split})" if split else ""
