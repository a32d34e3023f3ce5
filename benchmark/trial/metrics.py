"""Metrics of one split from logits and targets (SPEC section 9)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

Array = npt.NDArray[np.float32]


def scores(logits: torch.Tensor, rule: Literal["fp16_sigmoid", "float32"]) -> Array:
    """What clips are ranked by: the logits, or their sigmoid in half precision with its ties (defect D8)."""
    if rule == "fp16_sigmoid":
        return logits.half().sigmoid().float().numpy()
    return logits.float().numpy()


def accuracy(ranked: Array, targets: Array) -> float:
    """Share of clips whose highest score is at the target; ties go to the lower class."""
    return float(np.mean(ranked.argmax(1) == targets.argmax(1)))


def mean_average_precision(ranked: Array, targets: Array) -> float | None:
    """Unweighted mean over the classes that have a positive clip."""
    present = targets.any(0)
    if not present.any():
        return None
    return float(average_precision_score(targets[:, present], ranked[:, present], average="macro"))


def mean_auc(ranked: Array, targets: Array) -> float | None:
    """Unweighted mean over the classes that have both positive and negative clips."""
    both = targets.any(0) & ~targets.all(0)
    if not both.any():
        return None
    return float(roc_auc_score(targets[:, both], ranked[:, both], average="macro"))


def evaluate(
    logits: torch.Tensor, targets: torch.Tensor, rule: Literal["fp16_sigmoid", "float32"]
) -> dict[str, float | None]:
    """accuracy, map and mauc of (clips, classes) logits against multi-hot targets."""
    ranked, truth = scores(logits, rule), targets.numpy()
    if not np.isfinite(ranked).all():
        return {"accuracy": None, "map": None, "mauc": None}
    return {
        "accuracy": accuracy(ranked, truth),
        "map": mean_average_precision(ranked, truth),
        "mauc": mean_auc(ranked, truth),
    }
