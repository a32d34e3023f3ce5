"""Targets of clips: the classes that are present, and those that were annotated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from benchmark.data.manifest import Clip

Targets = tuple[torch.Tensor, torch.Tensor]
Truth = npt.NDArray[np.bool_]  # (2, clips, classes): the classes that are present, and those that were annotated


def truth_of(clips: Sequence[Clip], classes: int) -> Truth:
    """Return the targets of clips from their labels."""
    truth = np.zeros((2, len(clips), classes), np.bool_)
    for targets, observed, clip in zip(*truth, clips, strict=True):
        targets[list(clip.labels)] = True
        observed[slice(None) if clip.observed is None else list(clip.observed)] = True
    return truth


def mix_targets(first: Targets, second: Targets, shares: torch.Tensor) -> Targets:
    """Mix targets and weights, so that the weighted loss of the mixture is the mixture of both clips' losses.

    Args:
        first: (M, classes) targets and weights of the clips.
        second: the same of their partners.
        shares: (M, 1) share of the first.
    """
    (one, seen), (other, also_seen) = first, second
    observed = shares * seen + (1 - shares) * also_seen
    targets = shares * seen * one + (1 - shares) * also_seen * other
    return torch.where(observed > 0, targets / observed.clamp(min=1e-12), 0.0), observed
