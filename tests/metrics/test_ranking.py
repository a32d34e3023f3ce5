"""Influence of clips on the average precision."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.metrics.ranking import average_precision, precision_influence


def weighted(truth: np.ndarray, ranked: np.ndarray, weights: np.ndarray) -> float:
    """Return the average precision of weighted clips, by its definition."""
    total = 0.0
    for threshold in np.unique(ranked):
        above = ranked >= threshold
        precision = (weights * truth)[above].sum() / weights[above].sum()
        total += (weights * truth)[ranked == threshold].sum() * precision
    return total / float((weights * truth).sum())


@pytest.mark.parametrize("digits", [0, 1, 8])
@pytest.mark.parametrize("clips", [1, 2, 7, 40])
def test_influence_is_the_derivative_by_the_weight(clips: int, digits: int) -> None:
    rng = np.random.default_rng(clips)
    truth, ranked = (rng.random(clips) < 0.4).astype(float), rng.normal(size=clips).round(digits)
    truth[0] = 1.0
    assert weighted(truth, ranked, np.ones(clips)) == pytest.approx(average_precision(truth, ranked))
    steps = 1e-6 * np.eye(clips)
    slopes = [(weighted(truth, ranked, 1 + step) - weighted(truth, ranked, 1 - step)) / 2e-6 for step in steps]
    found = precision_influence(truth, ranked)
    assert found == pytest.approx(np.array(slopes), abs=1e-8)
    assert found.sum() == pytest.approx(0, abs=1e-12)  # a weight of all clips changes nothing
