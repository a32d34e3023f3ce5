"""Standard errors, intervals and tests on cases with known results; `tests/calibration.py` simulates many more."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from benchmark.report.inference import Estimate, Part, combined, deciding_seeds, estimate, holm
from benchmark.report.outcomes import Fold, Outcome, difference, not_comparable, score, share_difference, ties


def outcome(values: dict[int, np.ndarray], groups: list[str] | None = None, method: str = "m") -> Outcome:
    """Return an outcome of one fold."""
    clips = np.array([f"{number:06d}.wav" for number in range(len(next(iter(values.values()))))])
    return Outcome(method, {1: Fold.of(clips, clips if groups is None else np.array(groups), values)})


def hits(share: float, clips: int = 2000) -> np.ndarray:
    return (np.arange(clips) < share * clips).astype(float)[np.random.default_rng(1).permutation(clips)]


def test_with_one_seed_and_single_clips_it_is_the_standard_error_of_a_mean() -> None:
    found = score(outcome({0: hits(0.8)}))
    assert found.mean == pytest.approx(0.8)
    assert found.variance == pytest.approx(0.8 * 0.2 / 1999)
    low, high = found.interval()
    assert (low, high) == pytest.approx((0.8 - norm.ppf(0.975) * 0.00895, 0.8 + norm.ppf(0.975) * 0.00895), abs=1e-4)
    assert not found.about_methods


def test_without_noise_of_clips_it_is_the_t_interval_over_seeds() -> None:
    means = np.array([0.7, 0.75, 0.9])
    found = score(outcome({seed: np.full(50, mean) for seed, mean in enumerate(means)}))
    assert found.variance == pytest.approx(means.var(ddof=1) / 3)
    assert found.freedom == pytest.approx(2)
    assert found.interval()[1] == pytest.approx(means.mean() + student.ppf(0.975, 2) * means.std(ddof=1) / math.sqrt(3))


def test_balanced_data_give_the_quasi_f_of_crossed_random_effects() -> None:
    """Mean squares of a two-way layout without replication, written out."""
    values = np.random.default_rng(0).normal(size=(4, 30)) + np.arange(4)[:, None] + np.arange(30) / 10
    found = score(outcome(dict(enumerate(values))))
    seeds, clips = values.shape
    row, column, mean = values.mean(1), values.mean(0), values.mean()
    of_seeds = clips * np.sum((row - mean) ** 2) / (seeds - 1)
    of_clips = seeds * np.sum((column - mean) ** 2) / (clips - 1)
    rest = np.sum((values - row[:, None] - column + mean) ** 2) / ((seeds - 1) * (clips - 1))
    assert found.variance == pytest.approx((of_seeds + of_clips - rest) / (seeds * clips))


def test_clips_of_one_recording_count_as_one() -> None:
    drawn = np.random.default_rng(0).random(100) < 0.7
    values, groups = np.repeat(drawn, 20).astype(float), [f"g{number}" for number in np.repeat(np.arange(100), 20)]
    alone, grouped = score(outcome({0: values})), score(outcome({0: values}, groups))
    assert (grouped.groups, alone.groups) == (100, 2000)
    assert grouped.variance == pytest.approx(20 * alone.variance, rel=0.02)


def test_differences_are_paired_by_clip_whatever_the_order() -> None:
    one = hits(0.8)
    other = one.copy()
    other[np.flatnonzero(one)[:20]] = 0  # the same clips but for twenty
    order = np.random.default_rng(2).permutation(2000)
    clips = np.array([f"{number:06d}.wav" for number in range(2000)])
    shuffled = Outcome("b", {1: Fold.of(clips[order], clips[order], {0: other[order]})})
    gap = difference(outcome({0: one}), shuffled)
    low, high = gap.interval()
    assert gap.mean == pytest.approx(0.01)
    assert 0 < low < 0.01 < high < 0.02  # far narrower than either score's interval
    assert gap.p < 1e-4
    same = difference(outcome({0: one}), outcome({0: one}))
    assert (same.mean, same.interval(), same.p) == (0, (0, 0), 1)


def test_what_has_other_clips_folds_or_seeds_is_not_compared() -> None:
    one, short = outcome({0: hits(0.8)}, method="a"), outcome({0: hits(0.8)[:-1]}, method="b")
    assert "a and b have different test clips in fold 1 (1 are in one of them only)" in str(not_comparable(one, short))
    moved = Outcome("c", {2: one.folds[1]})
    assert "different folds" in str(not_comparable(one, moved))
    assert "share no seed" in str(not_comparable(one, outcome({7: hits(0.8)})))
    assert not_comparable(one, outcome({0: hits(0.7), 5: hits(0.7)})) is None
    assert difference(one, outcome({0: hits(0.7), 5: hits(0.1)})).mean == pytest.approx(0.1)  # over shared seeds


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_mean_is_the_score(data: st.DataObject) -> None:
    """The mean over seeds of the mean over folds, whatever the sizes of folds and groups."""
    seeds = data.draw(st.integers(1, 4))
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    folds = {}
    for number, size in enumerate(sizes):
        clips = np.array([f"{number}-{clip}" for clip in range(size)])
        groups = np.array([f"g{group}" for group in rng.integers(0, 4, size)])
        folds[number] = Fold.of(clips, groups, {seed: rng.random(size).round(2) for seed in range(seeds)})
    found = score(Outcome("m", folds))
    expected = np.mean([np.mean([fold.values[seed].mean() for fold in folds.values()]) for seed in range(seeds)])
    assert found.mean == pytest.approx(expected, abs=1e-12)
    low, high = found.interval()
    assert math.isnan(low) == (found.groups == 1)
    assert math.isnan(low) or low - 1e-12 <= found.mean <= high + 1e-12


def test_ties_are_told_from_the_best_by_all_pairs() -> None:
    best = hits(0.9)
    near, far = best.copy(), best.copy()
    near[np.flatnonzero(best)[:2]] = 0
    far[np.flatnonzero(best)[:200]] = 0
    outcomes = {name: outcome({0: values}) for name, values in (("best", best), ("near", near), ("far", far))}
    scores = {name: score(found).mean for name, found in outcomes.items()}
    assert ties(outcomes, scores) == {"best", "near"}
    outcomes["near"] = outcome({0: near[:-1]})  # it cannot be compared any more
    assert ties(outcomes, scores) == {"best"}
    outcomes["near"] = outcome({0: near})
    assert ties(outcomes, scores) == {"best", "near"}


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    drawn = np.random.default_rng(0).random(20) ** 3
    assert holm(drawn.tolist()) == pytest.approx(multipletests(drawn, method="holm")[1].tolist())
    assert holm([0.01, math.nan]) == pytest.approx([0.02, math.nan], nan_ok=True)


def test_the_difference_of_shares_has_the_error_of_its_draws() -> None:
    rng = np.random.default_rng(0)
    left, right = (rng.random(4000) < 0.8), (rng.random(4000) < 0.9)
    found = share_difference([(outcome({0: left.astype(float)}), outcome({0: right.astype(float)}))] * 2)
    assert (found.mean, found.variance) == (0, 0)
    other = rng.random(4000) < 0.7
    pairs = [(left, right), (other, right)]
    found = share_difference([tuple(outcome({0: each.astype(float)}) for each in pair) for pair in pairs])
    rows = rng.integers(0, 4000, (800, 4000))
    draws = left[rows].mean(1) / right[rows].mean(1) - other[rows].mean(1) / right[rows].mean(1)
    assert found.mean == pytest.approx(left.mean() / right.mean() - other.mean() / right.mean())
    assert math.sqrt(found.variance) == pytest.approx(draws.std(), rel=0.1)


def gap(mean: float, error: float, freedom: float = 1e9) -> Estimate:
    return Estimate(mean, (Part(error**2, freedom),), 3, 100, 100)


def test_the_error_of_a_mean_over_datasets() -> None:
    found = combined({"a": gap(0.1, 0.03), "b": gap(0.3, 0.04)})
    assert found.mean == pytest.approx(0.2)
    assert math.sqrt(found.variance) == pytest.approx(0.025)
    assert found.freedom > 1e8
    few = combined({"a": gap(0.1, 0.03, 2), "b": gap(0.3, 0.001)})
    assert few.freedom == pytest.approx(2, rel=0.01)  # the dataset that decides has two
    cautious = combined({"a": gap(0.1, 0.03), "b": gap(0.3, 0.04)}, related=[["b", "a"], ["elsewhere"]])
    assert math.sqrt(cautious.variance) == pytest.approx(0.035)  # as if their errors were one


def test_a_p_value_is_that_of_the_interval_that_ends_at_zero() -> None:
    """Parts of 2 and 399 degrees of freedom; the level is held where the quantile is the weighted mean of both."""
    found = Estimate(0.02, (Part(1e-4, 2), Part(0.5e-4, 399)), 3, 400, 400)
    assert found.interval(1 - found.p)[0] == pytest.approx(0, abs=1e-12)
    t = (1e-4 * student.ppf(0.975, 2) + 0.5e-4 * student.ppf(0.975, 399)) / 1.5e-4
    assert found.interval()[1] == pytest.approx(0.02 + t * math.sqrt(1.5e-4))
    assert student.ppf(0.975, found.freedom) == pytest.approx(t)
    assert Estimate(0.5, (Part(1e-300, 1000),), 3, 400, 400).p < 1e-99
    assert Estimate(0.0, (Part(1e-4, 2), Part(0.5e-4, 399)), 3, 400, 400).p == pytest.approx(1)


def test_how_many_seeds_would_decide() -> None:
    values = np.random.default_rng(0).normal(0.02, 0.1, (1, 4000))
    one = estimate(values, np.full(4000, 1 / 4000), np.arange(4000))
    assert deciding_seeds(one, 0.02, seed_sd=0.014) == 5  # t of 4 degrees times 0.014 / sqrt(5) is 0.0175
    assert deciding_seeds(one, 0.001) is None  # the clips alone leave more
    three = estimate(values + np.array([[-0.01], [0.0], [0.01]]), np.full(4000, 1 / 4000), np.arange(4000))
    assert deciding_seeds(three, 0.02) == 4


def test_more_seeds_than_there_are_decide_what_these_do_not() -> None:
    """Where models differ on each clip by chance, a few more of them help: as many as the formula says, no fewer."""
    rng, decided = np.random.default_rng(1), 0
    for _ in range(20):
        values = rng.normal(0.0, 1.0, (3, 400)) + rng.normal(0.0, 0.3, 400) + rng.normal(0.1, 0.05, (3, 1))
        found = estimate(values, np.full(400, 1 / 400), np.arange(400))
        low, high = found.interval()
        needed = deciding_seeds(found, found.mean) if low < 0 < high else None
        if needed is not None:
            decided += 1
            assert (deciding_seeds(found, found.mean / 2) or 1000) > needed
    assert decided > 3
