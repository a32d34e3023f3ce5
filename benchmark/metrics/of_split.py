"""Metrics of the clips of one split, with numpy alone (AAT@dc406ad src/traintest.py, src/utilities/stats.py)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmark.metrics.by_class import aucs, average_precisions, class_mean
from benchmark.metrics.ranking import Rule, Scores, precision_influence, scores

Metric = Literal["accuracy", "map"]
METRICS = ("accuracy", "map", "mauc")


def accuracy(ranked: Scores, targets: Scores) -> float:
    """Return the share of clips whose highest score is the target's. In a tie the lower class number wins."""
    return float(np.mean(ranked.argmax(1) == targets.argmax(1)))


def evaluate(logits: npt.NDArray[np.float32], targets: Scores, observed: Scores, rule: Rule) -> dict[str, float | None]:
    """Return accuracy, map and mauc; all None if a logit is not finite.

    Args:
        logits: (clips, classes).
        targets: (clips, classes), multi-hot.
        observed: (clips, classes), 0 where a class was not annotated.
        rule: what clips are ranked by, see `scores`.
    """
    ranked = scores(logits, rule)
    if not np.isfinite(ranked).all():
        return dict.fromkeys(METRICS)
    return {
        "accuracy": accuracy(ranked, targets),
        "map": class_mean(average_precisions(ranked, targets, observed)),
        "mauc": class_mean(aucs(ranked, targets, observed)),
    }


def parts(
    logits: npt.NDArray[np.float32], targets: Scores, observed: Scores, rule: Rule, metric: Metric
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
    ranked = scores(logits, rule)
    by_clip = metric == "accuracy"
    if not np.isfinite(ranked).all():
        return np.full(len(ranked) if by_clip else ranked.shape[1], np.nan, np.float32)
    if by_clip:
        return np.asarray(ranked.argmax(1) == targets.argmax(1), np.float32)
    values = average_precisions(ranked, targets, observed)
    return np.array([np.nan if value is None else value for value in values], np.float32)


def by_clip(
    logits: npt.NDArray[np.float32], targets: Scores, observed: Scores, rule: Rule, metric: Metric
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
    ranked = scores(logits, rule)
    clips = len(ranked)
    mean = class_mean(average_precisions(ranked, targets, observed)) if np.isfinite(ranked).all() else None
    if mean is None:
        return np.full(clips, np.nan)
    of_classes = []
    for column in range(targets.shape[1]):
        rows = observed[:, column] > 0
        if targets[rows, column].any():
            influence = np.zeros(clips)
            influence[rows] = precision_influence(targets[rows, column], ranked[rows, column])
            of_classes.append(influence)
    return np.asarray(mean + clips * np.mean(of_classes, axis=0))


def as_metric(name: str) -> Metric:
    """Return a name as that of a metric.

    Raises:
        ValueError: it is none.
    """
    if name == "accuracy":
        return "accuracy"
    if name == "map":
        return "map"
    raise ValueError(f"'{name}' is no metric")
