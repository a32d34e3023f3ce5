"""What clips are ranked by; average precision and area under the ROC curve of one class, as scikit-learn has them.

The two are equal to scikit-learn's to the last bit. They are written here because importing scikit-learn takes a fresh
worker longer than training a small trial's epoch; `tests/trial/test_metrics.py` compares them. Clips with equal scores
share a threshold.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating[Any]]
Counts = npt.NDArray[np.float64]
Rule = Literal["fp16_sigmoid", "float32"]


def scores(logits: npt.NDArray[np.float32], rule: Rule) -> npt.NDArray[np.float32]:
    """Return what clips are ranked by: the logits, or their half-precision sigmoid, which makes ties (defect D8).

    The steps of the sigmoid are those of torch, whose values these are for every half-precision number.
    """
    if rule == "float32":
        return logits.astype(np.float32)
    with np.errstate(over="ignore"):  # beyond the range of half precision: 0 or 1
        halves = logits.astype(np.float16)
        exponentials = np.exp(-halves.astype(np.float64)).astype(np.float32)
        return (1 / (1 + exponentials)).astype(np.float16).astype(np.float32)


def average_precision(truth: Scores, ranked: Scores) -> float:
    """Return the sum over the thresholds of precision times the increase of recall.

    Args:
        truth: (clips,), 1 for a positive clip, else 0; at least one is positive.
        ranked: (clips,) finite scores.
    """
    positives, negatives = _counts(truth, ranked)
    precision = positives / (positives + negatives)
    steps = np.diff(np.append(np.flip(positives / positives[-1]), 0.0))  # from the lowest threshold up: negative
    return float(max(0.0, -np.sum(steps * np.flip(precision))))


def roc_auc(truth: Scores, ranked: Scores) -> float:
    """Return the area under the curve of true against false positive rates, by trapezoids between its corners.

    Args:
        truth: (clips,), 1 for a positive clip, else 0; both values occur.
        ranked: (clips,) finite scores.
    """
    positives, negatives = _counts(truth, ranked)
    if len(positives) > 2:
        corners = np.logical_or(np.diff(negatives, 2), np.diff(positives, 2))
        kept = np.concatenate([[True], corners, [True]])
        positives, negatives = positives[kept], negatives[kept]
    heights = np.append(0.0, positives) / positives[-1]
    widths = np.diff(np.append(0.0, negatives) / negatives[-1])
    return float(np.sum(widths * (heights[1:] + heights[:-1]) / 2.0))


def _counts(truth: Scores, ranked: Scores) -> tuple[Counts, Counts]:
    """Return the numbers of positive and of negative clips at or above every distinct score, the highest first."""
    order = np.argsort(ranked)[::-1]
    last_of_ties = np.append(np.flatnonzero(np.diff(ranked[order])), len(ranked) - 1)
    positives = np.cumsum(truth[order], dtype=np.float64)[last_of_ties]
    return positives, 1.0 + last_of_ties - positives


def precision_influence(truth: Scores, ranked: Scores) -> Counts:
    """Return the derivative of the average precision by the weight of each clip; the sum over the clips is zero.

    This is the infinitesimal jackknife (Efron 1982): to first order it says what the average precision would be on
    resampled clips.

    Args:
        truth: (clips,), 1 for a positive clip, else 0; at least one is positive.
        ranked: (clips,) finite scores.
    """
    positives, negatives = _counts(truth, ranked)
    total, all_positives = positives + negatives, positives[-1]
    precision, at_threshold = positives / total, np.diff(positives, prepend=0.0)
    average = float(at_threshold @ precision) / all_positives
    # a clip counts at its own threshold and at all lower ones, in positives and in total
    in_positives = np.cumsum((at_threshold / total)[::-1])[::-1]
    in_total = np.cumsum((at_threshold * precision / total)[::-1])[::-1]
    place = np.searchsorted(-np.unique(ranked)[::-1], -ranked)
    of_positive = precision[place] + in_positives[place] - average
    influence: Counts = (np.where(truth > 0, of_positive, 0.0) - in_total[place]) / all_positives
    return influence
