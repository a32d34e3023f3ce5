"""Metrics on cases with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmark.metrics.ranking import average_precision, roc_auc, scores
from benchmark.trial.metrics import by_clip, d_prime, parts
from benchmark.trial.metrics import evaluate as evaluate_observed


def evaluate(logits: torch.Tensor, targets: torch.Tensor, rule: str) -> dict[str, float | None]:
    return evaluate_observed(logits, targets, torch.ones_like(targets), rule)  # type: ignore[arg-type]


def test_a_perfect_and_a_wrong_ranking() -> None:
    targets = torch.eye(3)
    assert evaluate(5 * targets, targets, "float32") == {
        "accuracy": 1.0,
        "map": 1.0,
        "mauc": 1.0,
        "d_prime": None,
    }
    assert evaluate(-5 * targets, targets, "float32")["mauc"] == 0.0


def test_half_precision_sigmoids_tie_confident_clips() -> None:
    logits = torch.tensor([[8.5], [10.5], [9.0], [-3.0]])
    targets = torch.tensor([[0.0], [1.0], [0.0], [0.0]])
    assert np.unique(scores(logits.numpy(), "fp16_sigmoid")).size == 2
    assert evaluate(logits, targets, "float32")["map"] == 1.0
    assert evaluate(logits, targets, "fp16_sigmoid")["map"] == pytest.approx(1 / 3)


def test_ties_go_to_the_lower_class() -> None:
    targets = torch.tensor([[0.0, 1.0]])
    assert evaluate(torch.tensor([[9.0, 10.0]]), targets, "float32")["accuracy"] == 1.0
    assert evaluate(torch.tensor([[9.0, 10.0]]), targets, "fp16_sigmoid")["accuracy"] == 0.0


def test_what_cannot_be_computed_is_null() -> None:
    assert evaluate(torch.full((2, 2), torch.nan), torch.eye(2), "float32") == dict.fromkeys(
        ("accuracy", "map", "mauc", "d_prime")
    )
    assert evaluate(torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [1.0, 0.0]]), "float32")["mauc"] is None


def test_precision_is_over_the_observed_clips_only() -> None:
    logits = torch.tensor([[3.0, 0.0], [2.0, 1.0], [1.0, 2.0]])
    targets = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    observed = torch.tensor([[0.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    assert evaluate(logits, targets, "float32")["map"] == pytest.approx((0.5 + 1) / 2)
    assert evaluate_observed(logits, targets, observed, "float32")["map"] == 1.0


@pytest.mark.parametrize("kind", ["continuous", "tied", "half precision", "two values", "equal"])
@pytest.mark.parametrize("clips", [2, 3, 40, 1000])
def test_rank_metrics_equal_those_of_scikit_learn(clips: int, kind: str) -> None:
    rng = np.random.default_rng(clips)
    for share in (0.02, 0.3, 0.5, 0.9):
        logits = rng.normal(size=clips).astype(np.float32)
        ranked = {
            "continuous": logits,
            "tied": logits.round(1),
            "half precision": scores(6 * logits, "fp16_sigmoid"),
            "two values": np.sign(logits),
            "equal": np.zeros_like(logits),
        }[kind]
        truth = (rng.random(clips) < share).astype(np.float32)
        truth[:2] = rng.permutation(2)  # both values occur
        assert average_precision(truth, ranked) == average_precision_score(truth, ranked)
        assert roc_auc(truth, ranked) == roc_auc_score(truth, ranked)


@pytest.mark.parametrize("auc", [1e-12, 0.1, 0.4999, 0.75, 0.97, 1 - 1e-9])
def test_d_prime_equals_scipys_to_rounding(auc: float) -> None:
    assert d_prime(auc) == pytest.approx(math.sqrt(2) * ndtri(auc), rel=1e-14)


def test_d_prime_of_chance_is_zero() -> None:
    assert d_prime(0.5) == pytest.approx(0)
    assert d_prime(1.0) is None


def test_the_values_of_clips_give_the_error_of_map() -> None:
    """As resampling the clips does, where some classes were not annotated everywhere."""
    rng = np.random.default_rng(0)
    targets = (rng.random((500, 4)) < 0.3).astype(np.float32)
    logits = (targets + rng.normal(size=targets.shape)).astype(np.float32)
    observed = (rng.random(targets.shape) < 0.7).astype(np.float32)

    def tensors(rows: np.ndarray) -> list[torch.Tensor]:
        return [torch.from_numpy(array[rows]) for array in (logits, targets, observed)]

    found = by_clip(*tensors(np.arange(500)), "float32", "map")
    draws = [evaluate_observed(*tensors(rng.integers(0, 500, 500)), "float32")["map"] for _ in range(400)]
    assert found.std() / np.sqrt(500) == pytest.approx(np.std(draws), rel=0.1)
    ones, zeros = torch.ones(3, 2), torch.zeros(3, 2)
    assert np.isnan(by_clip(torch.nan * ones, ones, ones, "float32", "map")).all()
    assert np.isnan(by_clip(ones, zeros, ones, "float32", "map")).all()  # no class has a positive clip


@pytest.mark.parametrize("metric", ["accuracy", "map"])
@pytest.mark.parametrize("rule", ["fp16_sigmoid", "float32"])
def test_the_metric_is_the_mean_of_its_parts(metric: str, rule: str) -> None:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(40, 5)).astype(np.float32))
    targets = torch.nn.functional.one_hot(torch.from_numpy(rng.integers(0, 4, 40)), 5).float()  # the last never
    found = parts(logits, targets, torch.ones_like(targets), rule, metric)  # type: ignore[arg-type]
    assert len(found) == (40 if metric == "accuracy" else 5)
    of_clips = by_clip(logits, targets, torch.ones_like(targets), rule, metric)  # type: ignore[arg-type]
    assert len(of_clips) == 40
    assert of_clips.mean() == pytest.approx(evaluate(logits, targets, rule)[metric], rel=1e-12)
    assert np.nanmean(found) == pytest.approx(evaluate(logits, targets, rule)[metric], rel=1e-6)
