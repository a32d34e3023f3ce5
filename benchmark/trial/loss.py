"""The loss of a recipe: cross entropy or binary cross entropy, with class weights and label smoothing.

- Class weights of `cross_entropy` are `weight` of `torch.nn.CrossEntropyLoss`: the mean is over weights.
- Class weights of `bce` are `pos_weight` of `torch.nn.BCEWithLogitsLoss`, whose documentation has the rule negatives /
  positives; the mean is over annotated classes.
- Label smoothing s makes (1 - s) y + s / classes of a target y, in both losses as `torch.nn.CrossEntropyLoss` does. A
  mixture of smoothed targets is the smoothed mixture, so that mixup needs no rule of its own.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional

from benchmark.data.targets import Truth

Kind = Literal["cross_entropy", "bce"]


def loss_of(
    logits: torch.Tensor,
    targets: torch.Tensor,
    observed: torch.Tensor,
    kind: Kind,
    weights: torch.Tensor | None = None,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Return the mean loss of a batch.

    Args:
        logits: (B, classes).
        targets: (B, classes), multi-hot, possibly mixed.
        observed: (B, classes) weights; classes with 0 do not count in `bce`.
        kind: loss of the recipe.
        weights: (classes,) class weights; None weighs all classes equally.
        smoothing: label smoothing, 0 to 1.
    """
    if kind == "cross_entropy":
        return functional.cross_entropy(logits, targets.argmax(1), weight=weights, label_smoothing=smoothing)
    if smoothing:
        targets = (1 - smoothing) * targets + smoothing / targets.shape[1]
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none", pos_weight=weights)
    return (losses * observed).sum() / observed.sum()


def share_of_part(
    part: tuple[torch.Tensor, torch.Tensor],
    whole: tuple[torch.Tensor, torch.Tensor],
    kind: Kind,
    weights: torch.Tensor | None = None,
) -> float:
    """Return the weight of a part's mean loss in the mean loss of its batch.

    Args:
        part: targets and observed classes of the part, both (B, classes).
        whole: the same of the batch.
        kind: loss of the recipe.
        weights: (classes,) class weights; None weighs all classes equally.
    """
    if kind == "bce":
        return float(part[1].sum() / whole[1].sum())
    if weights is None:
        return len(part[0]) / len(whole[0])
    of_part, of_whole = (weights[targets.argmax(1)].sum() for targets, _ in (part, whole))
    return float(of_part / of_whole)


def balanced_weights(truth: Truth, kind: Kind) -> torch.Tensor:
    """Return (classes,) weights with which all classes, or positives and negatives of each class, weigh the same.

    - `cross_entropy`: labels / (classes x labels of the class), over classes with clips. Where clips have one label
      each, it is scikit-learn's `balanced`.
    - `bce`: negatives / positives of the class, over the clips in which it was annotated.

    A class without clips has the weight 1, with `bce` also a class that all clips have.

    Args:
        truth: (2, clips, classes), present and annotated classes of the training clips.
        kind: loss of the recipe.
    """
    labels = torch.from_numpy((truth[0] & truth[1]).sum(0)).double()
    if kind == "bce":
        negatives = torch.from_numpy((~truth[0] & truth[1]).sum(0)).double()
        return torch.where((labels > 0) & (negatives > 0), negatives / labels.clamp(min=1), 1.0).float()
    present = labels > 0
    weights = labels.sum() / (present.sum() * labels.clamp(min=1))
    return torch.where(present, weights, 1.0).float()
