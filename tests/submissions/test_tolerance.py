"""The tolerance of a reproduction: the small version of `tests/reproduction.py`, with fixed seeds."""

from __future__ import annotations

import pytest

from benchmark.submissions.standing import Scores, tolerance
from tests.reproduction import MOST_DISPUTED, Pair, disputed


@pytest.mark.parametrize("clips", [400, 2000, 11000])
@pytest.mark.parametrize("seed_sd", [0.0, 0.5, 1.0])
def test_honest_pairs_are_rarely_disputed(clips: int, seed_sd: float) -> None:
    assert disputed(Pair(clips, (3, 3), seed_sd), 500) <= MOST_DISPUTED


def test_other_scores_are_found() -> None:
    assert disputed(Pair(2000, (3, 3), 0.5, effect=6.0), 200) > 95
    assert disputed(Pair(2000, (1, 1), 0.5, effect=9.0), 200) > 95


def test_more_seeds_and_more_clips_make_it_stricter() -> None:
    def limit(seeds: int, clips: int) -> float:
        return tolerance(*[Scores([0.80, 0.81, 0.79, 0.80][:seeds], clips)] * 2)

    assert limit(1, 400) > limit(1, 2000) > limit(3, 2000) > limit(4, 2000) > 0


def test_a_spread_that_was_measured_counts() -> None:
    steady, unsteady = (Scores([0.8 - spread, 0.8, 0.8 + spread], 2000) for spread in (0.002, 0.04))
    assert tolerance(unsteady, unsteady) > 2 * tolerance(steady, steady)


def test_perfect_scores_have_a_tolerance() -> None:
    assert 0 < tolerance(Scores([1.0], 40), Scores([1.0], 40)) < 0.2
