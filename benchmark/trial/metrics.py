"""Metrics of one split from the tensors of an evaluation; `benchmark.metrics.of_split` computes them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from benchmark.metrics import of_split
from benchmark.metrics.of_split import Metric, accuracy
from benchmark.metrics.ranking import Rule

__all__ = ["accuracy", "by_clip", "d_prime", "evaluate", "parts"]


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
    found = of_split.evaluate(logits.numpy(), targets.numpy(), observed.numpy(), rule)
    return found | {"d_prime": d_prime(found["mauc"])}


def parts(
    logits: torch.Tensor,
    targets: torch.Tensor,
    observed: torch.Tensor,
    rule: Rule,
    metric: Metric,
) -> npt.NDArray[np.float32]:
    """Return the values whose mean is the metric; see `of_split.parts`."""
    return of_split.parts(logits.numpy(), targets.numpy(), observed.numpy(), rule, metric)


def by_clip(
    logits: torch.Tensor,
    targets: torch.Tensor,
    observed: torch.Tensor,
    rule: Rule,
    metric: Metric,
) -> npt.NDArray[np.float64]:
    """Return a value of every clip, whose mean is the metric; see `of_split.by_clip`."""
    return of_split.by_clip(logits.numpy(), targets.numpy(), observed.numpy(), rule, metric)
