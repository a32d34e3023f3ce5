"""Named seed streams. What concerns the data never depends on the method, so that methods are compared in pairs."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

import numpy as np
import torch

from benchmark.spec.request import TrialRequest


@dataclass(frozen=True)
class Seeds:
    """The streams of one trial."""

    request: TrialRequest

    def weights(self) -> int:
        """Random backbone weights, by the seed in `random:SEED` alone."""
        return stream("weights", self.request.backbone.weights)

    def head(self) -> int:
        """Initial head; the same for all methods."""
        return self._data("head")

    def method(self) -> int:
        """Initial values of what the method inserts, and whatever is random in training."""
        return self._data("method", self.request.method.model_dump_json(exclude={"variant"}))

    def order(self, epoch: int) -> int:
        """Order of the training clips in an epoch."""
        return self._data("order", epoch)

    def draws(self, epoch: int) -> int:
        """Augmentation in an epoch."""
        return self._data("draws", epoch)

    def _data(self, name: str, *parts: object) -> int:
        request = self.request
        return stream(name, request.dataset.name, request.fold, request.seed, *parts)


def stream(*parts: object) -> int:
    """A 63-bit seed from names and numbers; nearby parts give unrelated seeds."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch: what a method's own modules draw from while training."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
