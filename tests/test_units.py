"""Durations as text."""

from __future__ import annotations

import pytest

from benchmark.errors import BenchmarkError
from benchmark.units import data_size, duration, parse_duration, percent, plural, quantity, score_text


@pytest.mark.parametrize(("text", "seconds"), [("8h", 28800), ("30min", 1800), ("1.5d", 129600), ("90s", 90)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text, "--budget") == seconds


@pytest.mark.parametrize("text", ["8", "h", "0h", "-1h", "8 hours", "nan h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BenchmarkError, match="expected a time"):
        parse_duration(text, "--budget")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "? FLOPs"), (0, "0 FLOPs"), (0.25, "0.25 FLOPs"), (999, "999 FLOPs"), (999.9, "1 kFLOPs"),
        (48.7e9, "48.7 GFLOPs"), (999_999_999, "1 GFLOPs"), (1.89e21, "1.89 ZFLOPs"), (3e25, "30,000 ZFLOPs"),
        (1e-9, "< 0.001 FLOPs"),
    ],
)  # fmt: skip
def test_quantities_have_the_prefix_of_their_size(value: float | None, text: str) -> None:
    assert quantity(value, "FLOPs") == ("?" if value is None else text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"), (0, "0 s"), (0.02, "20 ms"), (5, "5 s"), (119.7, "120 s"), (720, "12 min"), (47 * 3600, "47 h"),
        (3 * 86400, "3 d"), (1890 * 86400, "5.17 years"), (1e12, "31,688 years"),
    ],
)  # fmt: skip
def test_durations_are_readable(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_and_shares() -> None:
    assert [data_size(size) for size in (None, 512, 60e6, 1.2e9)] == ["?", "512 B", "60 MB", "1.2 GB"]
    assert [percent(share, 1) for share in (None, 0.875)] == ["?", "87.5 %"]


def test_one_of_a_kind_has_no_plural() -> None:
    assert [plural(number, "trial") for number in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]


def test_the_test_score_is_shown_before_that_of_validation() -> None:
    assert score_text("accuracy", {"validation": 0.5, "test": 0.625}) == "accuracy 50.0 % (validation)"
    assert score_text("accuracy", {"test": 0.625}) == "accuracy 62.5 % (test)"
    assert score_text("map", {"validation": 0.5}) == "map 50.0 % (validation)"
    assert score_text("map", {"validation": 0.5, "test": None}) == "map 50.0 % (validation)"
    assert score_text("map", {}) == ""
