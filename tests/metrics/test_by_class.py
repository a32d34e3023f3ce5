"""Metrics by class against those of the score, against scikit-learn's, and where they are not defined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
)
from sklearn.metrics import (
    confusion_matrix as sklearn_confusion,
)

from benchmark.metrics.by_class import BINS, Decisions, Reliability, aucs, average_precisions, class_mean
from benchmark.metrics.by_class import confusion_matrix as confusion_of
from benchmark.metrics.ranking import Rule, scores
from benchmark.trial.metrics import evaluate

RULES: list[Rule] = ["fp16_sigmoid", "float32"]


def test_half_precision_scores_are_those_of_torch_for_every_half_precision_number() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[~np.isnan(halves)]
    assert np.array_equal(scores(halves.astype(np.float32), "fp16_sigmoid"), torch.from_numpy(halves).sigmoid().float())
    assert np.isnan(scores(np.array([np.nan], np.float32), "fp16_sigmoid")).all()


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 8), st.sampled_from(RULES))
@settings(max_examples=60, deadline=None)
def test_numbers_by_class_agree_with_the_score_of_one_label(seed: int, clips: int, classes: int, rule: Rule) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, clips)
    logits = (rng.normal(size=(clips, classes)) * rng.choice([1, 15])).astype(np.float32)
    targets = np.eye(classes, dtype=np.float32)[truth]
    ranked = scores(logits, rule)
    matrix = confusion_of(ranked, targets)
    decisions = Decisions.of_confusion(matrix)
    score = evaluate(*map(torch.from_numpy, (logits, targets, np.ones_like(targets))), rule)
    weighted = sum(
        n * value for n, value in zip(decisions.positives, decisions.recall, strict=True) if value is not None
    )
    assert weighted / clips == pytest.approx(score["accuracy"])
    assert matrix.trace() / matrix.sum() == pytest.approx(score["accuracy"])
    assert class_mean(aucs(ranked, targets, np.ones_like(targets))) == score["mauc"]

    answer, labels, there = ranked.argmax(1), list(range(classes)), np.unique(truth)
    assert np.array_equal(matrix, sklearn_confusion(truth, answer, labels=labels))
    for values, function in ((decisions.recall, recall_score), (decisions.f1, f1_score)):
        expected = function(truth, answer, labels=labels, average=None, zero_division=0)
        assert [values[place] for place in there] == pytest.approx(expected[there].tolist())
        assert all(values[place] is None for place in set(labels) - set(there))
    expected = precision_score(truth, answer, labels=labels, average=None, zero_division=0)
    for place in there:
        assert decisions.precision[place] == (pytest.approx(expected[place]) if place in answer else None)
    if set(answer) <= set(there) and len(there) > 1:  # otherwise scikit-learn warns
        assert class_mean(decisions.recall) == pytest.approx(balanced_accuracy_score(truth, answer))


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 6), st.sampled_from(RULES))
@settings(max_examples=60, deadline=None)
def test_numbers_by_class_agree_with_the_score_of_several_labels(
    seed: int, clips: int, classes: int, rule: Rule
) -> None:
    rng = np.random.default_rng(seed)
    targets = (rng.random((clips, classes)) < 0.3).astype(np.float32)
    observed = (rng.random((clips, classes)) < 0.7).astype(np.float32)
    logits = (targets + 3 * rng.normal(size=targets.shape)).astype(np.float32)
    score = evaluate(*map(torch.from_numpy, (logits, targets, observed)), rule)
    assert class_mean(average_precisions(scores(logits, rule), targets, observed)) == score["map"]
    decisions = Decisions.of_labels(logits, targets, observed)
    for place in range(classes):
        rows = observed[:, place] > 0
        truth, said = targets[rows, place] > 0, logits[rows, place] > 0
        if truth.any():
            assert decisions.f1[place] == pytest.approx(f1_score(truth, said))
            assert decisions.recall[place] == pytest.approx(recall_score(truth, said))
        else:
            assert [values[place] for values in (decisions.recall, decisions.precision, decisions.f1)] == [None] * 3


def test_counts_of_folds_add_up() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 4)).astype(np.float32)
    targets = np.eye(4, dtype=np.float32)[rng.integers(0, 4, 50)]
    parts = [slice(0, 20), slice(20, 50)]
    whole = Decisions.of_confusion(confusion_of(logits, targets))
    first, second = (Decisions.of_confusion(confusion_of(logits[part], targets[part])) for part in parts)
    assert (first + second).f1 == whole.f1
    bins = [Reliability.of_clips(logits[part], logits[part], targets[part]) for part in parts]
    assert (bins[0] + bins[1]).error == pytest.approx(Reliability.of_clips(logits, logits, targets).error)


def test_one_class_has_a_recall_and_no_area() -> None:
    logits, targets = np.zeros((3, 1), np.float32), np.ones((3, 1), np.float32)
    decisions = Decisions.of_confusion(confusion_of(logits, targets))
    assert (decisions.recall, decisions.precision, decisions.f1) == ([1.0], [1.0], [1.0])
    assert class_mean(aucs(logits, targets, targets)) is None


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the expected calibration error by its definition (Guo et al. 2017, equation 3)."""
    total = 0.0
    for place in range(15):
        inside = (confidence > place / 15) & (confidence <= (place + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return total


def test_calibration_error_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(300, 5)).astype(np.float32)
    truth = rng.integers(0, 5, 300)
    softmax = torch.from_numpy(logits).double().softmax(1).numpy()
    found = Reliability.of_clips(logits, logits, np.eye(5, dtype=np.float32)[truth])
    assert found.error == pytest.approx(calibration_error(softmax.max(1), softmax.argmax(1) == truth))
    assert found.counts.sum() == 300
    assert found.correct.sum() == (softmax.argmax(1) == truth).sum()

    targets = (rng.random((300, 5)) < 0.4).astype(np.float32)
    observed = (rng.random((300, 5)) < 0.6).astype(np.float32)
    sigmoid = torch.from_numpy(logits).double().sigmoid().numpy()[observed > 0]
    labels = Reliability.of_labels(logits, targets, observed)
    assert labels.error == pytest.approx(calibration_error(sigmoid, targets[observed > 0] > 0))
    assert labels.counts.sum() == observed.sum()


def test_confident_and_right_is_perfectly_calibrated_and_wrong_is_not() -> None:
    logits = 1000 * np.eye(4, dtype=np.float32)
    assert Reliability.of_clips(logits, logits, np.eye(4, dtype=np.float32)).error == 0
    assert Reliability.of_clips(logits, logits, np.eye(4, dtype=np.float32)[::-1]).error == 1
    assert Reliability.of(np.array([]), np.array([], bool)).error is None
    ends = Reliability.of(np.array([0.0, 1 / BINS, 1.0]), np.array([False, True, True]))
    assert ends.counts.tolist() == [2, *[0] * (BINS - 2), 1]
