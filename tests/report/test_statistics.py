"""Paired comparisons on cases with known results."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from benchmark.report.statistics import Difference, Paired, holm, mean_of, ties


def hits(share: float, clips: int = 2000) -> np.ndarray:
    return (np.arange(clips) < share * clips).astype(float)[np.random.default_rng(1).permutation(clips)]


def test_an_interval_is_close_to_the_normal_approximation() -> None:
    found = Paired({"a": {0: hits(0.8)}}).interval("a")
    half = norm.ppf(0.975) * np.sqrt(0.8 * 0.2 / 2000)
    assert found.mean == pytest.approx(0.8)
    assert found.low == pytest.approx(0.8 - half, abs=0.003)
    assert found.high == pytest.approx(0.8 + half, abs=0.003)
    assert (found.parts, found.seeds) == (2000, 1)


def test_differences_are_paired() -> None:
    one = hits(0.8)
    other = one.copy()
    other[np.flatnonzero(one)[:20]] = 0  # the same clips but for twenty
    gap = Paired({"a": {0: one}, "b": {0: other}}).difference("a", "b")
    assert gap.mean == pytest.approx(0.01)
    assert 0 < gap.low < 0.01 < gap.high < 0.02  # far narrower than either score's interval
    assert gap.p < 1e-4
    same = Paired({"a": {0: one}, "b": {0: one}}).difference("a", "b")
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_only_shared_seeds_are_compared_and_seeds_are_resampled() -> None:
    base = hits(0.8)
    drop = base.copy()
    drop[:400] = 0
    paired = Paired({"a": {0: base, 1: drop}, "b": {0: base, 2: base}, "c": {3: base}})
    assert paired.difference("a", "b").seeds == 1
    assert paired.difference("a", "b").mean == 0
    assert paired.difference("a", "c") is None
    spread = paired.interval("a")  # two seeds far apart: the interval spans both
    assert spread.low < drop.mean() + 0.03
    assert spread.high > base.mean() - 0.03


def test_classes_without_a_value_are_left_out_everywhere() -> None:
    one, other = np.array([0.5, np.nan, 0.7]), np.array([0.4, 0.9, 0.6])
    gap = Paired({"a": {0: one}, "b": {0: other}}).difference("a", "b")
    assert gap.mean == pytest.approx(0.1)
    assert gap.parts == 2


def test_ties() -> None:
    best = hits(0.9)
    near, far = best.copy(), best.copy()
    near[np.flatnonzero(best)[:2]] = 0
    far[np.flatnonzero(best)[:200]] = 0
    paired = Paired({"best": {0: best}, "near": {0: near}, "far": {0: far}})
    assert ties(paired, {"best": best.mean(), "near": near.mean(), "far": far.mean()}) == {"best", "near"}


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def gaps(number: int, seeds: int = 1) -> dict[str, Difference]:
    """Return differences on datasets of one size, each of clips and seeds of its own."""
    found = {}
    for place in range(number):
        random = np.random.default_rng(place)
        values = {seed: random.normal(0.1 + 0.1 * seed, 1.0, 2000) for seed in range(seeds)}
        gap = Paired({"a": values, "b": {seed: np.zeros(2000) for seed in values}}).difference("a", "b")
        assert gap is not None
        found[f"d{place}"] = gap
    return found


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_of_a_mean_over_independent_datasets_shrinks_with_their_root(seeds: int) -> None:
    """Also on datasets of equal size, whose clips and seeds are resampled by equal weights."""
    of_each = gaps(4, seeds)
    mean = mean_of(of_each, related=[])
    assert mean.mean == pytest.approx(np.mean([gap.mean for gap in of_each.values()]))
    one = np.sqrt(np.mean([np.var(gap.draws) for gap in of_each.values()]))
    assert np.std(mean.draws) == pytest.approx(one / 2, rel=0.1)
    assert np.mean(mean.draws) == pytest.approx(np.mean([np.mean(gap.draws) for gap in of_each.values()]))
    assert mean_of(of_each, related=[]).low == mean.low  # the same in every call


def test_datasets_that_share_recordings_count_as_one() -> None:
    of_each = gaps(2)
    cautious = mean_of(of_each, related=[["d1", "d0"], ["elsewhere", "d9"]])
    spreads = [np.std(gap.draws) for gap in of_each.values()]
    assert np.std(cautious.draws) == pytest.approx(np.mean(spreads), rel=0.02)
    assert cautious.high - cautious.low > 1.3 * (mean_of(of_each, related=[]).high - mean_of(of_each, related=[]).low)
