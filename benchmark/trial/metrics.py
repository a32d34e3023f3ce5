"""Metrics of one split from logits and targets (AAT@dc406ad src/traintest.py, src/utilities/stats.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import ndtri
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmark.spec.request import TrialRequest

Array = npt.NDArray[np.floating[Any]]


def scores(logits: torch.Tensor, rule: Literal["fp16_sigmoid", "float32"]) -> Array:
    """What clips are ranked by: the logits, or their sigmoid in half precision with its ties (defect D8)."""
    if rule == "fp16_sigmoid":
        return logits.half().sigmoid().float().numpy()
    return logits.float().numpy()


def accuracy(ranked: Array, targets: Array) -> float:
    """Share of clips whose highest score is at the target; ties go to the lower class."""
    return float(np.mean(ranked.argmax(1) == targets.argmax(1)))


def average_precisions(ranked: Array, targets: Array, observed: Array) -> list[float | None]:
    """Average precision of every class over the clips observed for it; None where none of them is positive."""
    return _by_class(average_precision_score, ranked, targets, observed, both=False)


def aucs(ranked: Array, targets: Array, observed: Array) -> list[float | None]:
    """Area under the ROC curve of every class; None where the observed clips are all positive or all negative."""
    return _by_class(roc_auc_score, ranked, targets, observed, both=True)


def class_mean(values: Sequence[float | None]) -> float | None:
    """Unweighted mean over the classes that have a value (a class without positives counts in neither part)."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def d_prime(auc: float | None) -> float | None:
    """Separation of two unit normals with that area under the curve; None at its ends, where it is infinite."""
    return None if auc is None or auc in {0.0, 1.0} else float(np.sqrt(2) * ndtri(auc))


def evaluate(
    logits: torch.Tensor, targets: torch.Tensor, observed: torch.Tensor, rule: Literal["fp16_sigmoid", "float32"]
) -> dict[str, float | None]:
    """accuracy, map, mauc and d_prime of (clips, classes) logits against multi-hot targets."""
    ranked, truth, seen = scores(logits, rule), targets.numpy(), observed.numpy()
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
    rule: Literal["fp16_sigmoid", "float32"],
    metric: Literal["accuracy", "map"],
) -> npt.NDArray[np.float32]:
    """What the metric is the mean of: for accuracy 1 or 0 by clip, for map the average precision by class.

    NaN where a class has no positive clip, and everywhere where the logits are not finite.
    """
    ranked, truth, seen = scores(logits, rule), targets.numpy(), observed.numpy()
    by_clip = metric == "accuracy"
    if not np.isfinite(ranked).all():
        return np.full(len(ranked) if by_clip else ranked.shape[1], np.nan, np.float32)
    if by_clip:
        return np.asarray(ranked.argmax(1) == truth.argmax(1), np.float32)
    return np.array([np.nan if ap is None else ap for ap in average_precisions(ranked, truth, seen)], np.float32)


def ranking(request: TrialRequest) -> Literal["fp16_sigmoid", "float32"]:
    """What a trial's clips are ranked by: only AST is autocast in the official evaluation (defect D8)."""
    return request.protocol.eval_logits if request.backbone.pretraining == "supervised" else "float32"


def _by_class(
    score: Callable[[Array, Array], float], ranked: Array, targets: Array, observed: Array, *, both: bool
) -> list[float | None]:
    values: list[float | None] = []
    for column in range(targets.shape[1]):
        rows = observed[:, column] > 0
        truth = targets[rows, column]
        possible = truth.any() and not (both and truth.all())
        values.append(float(score(truth, ranked[rows, column])) if possible else None)
    return values
