"""Named seed streams.

The streams of the data do not depend on the method: all methods see the same data in the same order, so that they can
be compared in pairs.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

import numpy as np
import torch

from benchmark.spec.request import TrialRequest


@dataclass(frozen=True)
class Seeds:
    """The seed streams of one trial."""

    request: TrialRequest

    def weights(self) -> int:
        """Return the seed of random backbone weights; it depends on `random:SEED` alone."""
        return stream("weights", self.request.backbone.weights)

    def head(self) -> int:
        """Return the seed of the initial head; the same for all methods."""
        return self._data("head")

    def method(self) -> int:
        """Return the seed of what the method inserts and of random draws during training."""
        return self._data("method", self.request.method.model_dump_json(exclude={"variant"}))

    def order(self, epoch: int) -> int:
        """Return the seed of the order of the training clips in an epoch."""
        return self._data("order", epoch)

    def draws(self, epoch: int) -> int:
        """Return the seed of the augmentation in an epoch."""
        return self._data("draws", epoch)

    def _data(self, name: str, *parts: object) -> int:
        request = self.request
        # the models of different draws are independent: their head and order differ, too
        draw = [f"draw {request.draw}"] if request.shots else []
        return stream(name, request.dataset.name, request.fold, request.seed, *draw, *parts)


def stream(*parts: object) -> int:
    """Return a 63-bit seed from names and numbers; similar inputs give unrelated seeds."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch, which a method's modules may use in training."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
