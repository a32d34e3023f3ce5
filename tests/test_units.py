"""Durations as text."""

from __future__ import annotations

import pytest

from benchmark.errors import BenchmarkError
from benchmark.units import parse_duration, plural, score_text


@pytest.mark.parametrize(("text", "seconds"), [("8h", 28800), ("30min", 1800), ("1.5d", 129600), ("90s", 90)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text, "--budget") == seconds


@pytest.mark.parametrize("text", ["8", "h", "0h", "-1h", "8 hours", "nan h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BenchmarkError, match="expected a time"):
        parse_duration(text, "--budget")


def test_one_of_a_kind_has_no_plural() -> None:
    assert [plural(number, "trial") for number in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]


def test_the_test_score_is_shown_before_that_of_validation() -> None:
    assert score_text("accuracy", {"validation": 0.5, "test": 0.625}) == "accuracy 62.5 % (test)"
    assert score_text("map", {"validation": 0.5}) == "map 50.0 % (validation)"
    assert score_text("map", {"validation": 0.5, "test": None}) == "map 50.0 % (validation)"
    assert score_text("map", {}) == ""
