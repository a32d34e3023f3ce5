"""Metrics of one split from logits and targets (AAT@dc406ad src/traintest.py, src/utilities/stats.py)."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from benchmark.metrics.by_class import aucs, average_precisions, class_mean
from benchmark.metrics.ranking import Rule, precision_influence, scores

Array = npt.NDArray[np.floating[Any]]


def accuracy(ranked: Array, targets: Array) -> float:
    """Return the share of clips whose highest score is the target's. In a tie the lower class number wins."""
    return float(np.mean(ranked.argmax(1) == targets.argmax(1)))


def d_prime(auc: float | None) -> float | None:
    """Return d': the distance of two unit normals with this AUC. None at 0 and 1, where it is infinite."""
    if auc is None or auc in {0.0, 1.0}:
        return None
    return math.sqrt(2) * float(torch.special.ndtri(torch.tensor(auc, dtype=torch.float64)))


def evaluate(
    logits: torch.Tensor, targets: torch.Tensor, observed: torch.Tensor, rule: Rule
) -> dict[str, float | None]:
    """Return accuracy, map, mauc and d_prime; all None if a logit is not finite.

    Args:
        logits: (clips, classes).
        targets: (clips, classes), multi-hot.
        observed: (clips, classes), 0 where a class was not annotated.
        rule: what clips are ranked by, see `scores`.
    """
    ranked, truth, seen = scores(logits.numpy(), rule), targets.numpy(), observed.numpy()
    if not np.isfinite(ranked).all():
        return dict.fromkeys(("accuracy", "map", "mauc", "d_prime"))
    mauc = class_mean(aucs(ranked, truth, seen))
    return {
        "accuracy": accuracy(ranked, truth),
        "map": class_mean(average_precisions(ranked, truth, seen)),
        "mauc": mauc,
        "d_prime": d_prime(mauc),
    }


def parts(
    logits: torch.Tensor,
    targets: torch.Tensor,
    observed: torch.Tensor,
    rule: Rule,
    metric: Literal["accuracy", "map"],
) -> npt.NDArray[np.float32]:
    """Return the values whose mean is the metric: 1 or 0 per clip for accuracy, average precision per class for map.

    A class without a positive clip is NaN. If a logit is not finite, all values are NaN.

    Args:
        logits: (clips, classes).
        targets: (clips, classes), multi-hot.
        observed: (clips, classes), 0 where a class was not annotated.
        rule: what clips are ranked by, see `scores`.
        metric: the dataset's metric.
    """
    ranked, truth, seen = scores(logits.numpy(), rule), targets.numpy(), observed.numpy()
    by_clip = metric == "accuracy"
    if not np.isfinite(ranked).all():
        return np.full(len(ranked) if by_clip else ranked.shape[1], np.nan, np.float32)
    if by_clip:
        return np.asarray(ranked.argmax(1) == truth.argmax(1), np.float32)
    return np.array([np.nan if ap is None else ap for ap in average_precisions(ranked, truth, seen)], np.float32)


def by_clip(
    logits: torch.Tensor,
    targets: torch.Tensor,
    observed: torch.Tensor,
    rule: Rule,
    metric: Literal["accuracy", "map"],
) -> npt.NDArray[np.float64]:
    """Return a value of every clip, whose mean is the metric and whose spread gives the metric's error.

    For accuracy that is 1 or 0. For map it is the metric plus what the clip would add to it, see
    `precision_influence`. If a logit is not finite, or map has no class with a positive clip, all values are NaN.

    Args:
        logits: (clips, classes).
        targets: (clips, classes), multi-hot.
        observed: (clips, classes), 0 where a class was not annotated.
        rule: what clips are ranked by, see `scores`.
        metric: the dataset's metric.
    """
    if metric == "accuracy":
        return parts(logits, targets, observed, rule, metric).astype(np.float64)
    ranked, truth, seen = scores(logits.numpy(), rule), targets.numpy(), observed.numpy()
    clips = len(ranked)
    mean = class_mean(average_precisions(ranked, truth, seen)) if np.isfinite(ranked).all() else None
    if mean is None:
        return np.full(clips, np.nan)
    of_classes = []
    for column in range(truth.shape[1]):
        rows = seen[:, column] > 0
        if truth[rows, column].any():
            influence = np.zeros(clips)
            influence[rows] = precision_influence(truth[rows, column], ranked[rows, column])
            of_classes.append(influence)
    return np.asarray(mean + clips * np.mean(of_classes, axis=0))
