"""The report's statistics keep their level: the small version of `tests/calibration.py`, with fixed seeds."""

from __future__ import annotations

import pytest

from tests.calibration import Cell, is_bad, simulate

SIMULATIONS = 200


@pytest.mark.parametrize(
    "cell",
    [
        Cell(290, 3, seed_sd=0.0),
        Cell(290, 3, seed_sd=2.0, group=40),
        Cell(400, 3, folds=5, seed_sd=1.0, group=4),
        Cell(2000, 5, seed_sd=1.0, group=40),
        Cell(2000, 3, folds=10, seed_sd=1.0),
        Cell(290, 3, seed_sd=1.0, methods=8),
    ],
    ids=str,
)
def test_true_nulls_are_rejected_at_the_level(cell: Cell) -> None:
    assert not is_bad(cell, simulate(cell, SIMULATIONS), SIMULATIONS)


def test_a_difference_of_four_points_is_found() -> None:
    assert simulate(Cell(2000, 3, seed_sd=0.5, effect=4.0), SIMULATIONS).rejected > 75


def test_a_test_over_clips_alone_would_not_keep_it() -> None:
    """With one seed the difference of two trained models is distinguished from chance, though the methods are equal."""
    assert simulate(Cell(2000, 1, seed_sd=1.0), SIMULATIONS).rejected > 15
