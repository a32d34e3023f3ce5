"""The batches of a training epoch: which examples, in which order, with which random draws."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from benchmark.data.augmentation import UNMIXED, Draws, draw
from benchmark.data.targets import Truth
from benchmark.data.windows import Numbers

Item = tuple[list[int], Draws | None]  # positions of a batch's examples, and their random draws in training
Shares = npt.NDArray[np.float64]
WINDOWS = 1  # number of the stream of windows beside that of the other draws


class TrainingOrder(Sampler[Item]):
    """Batches of an epoch: a new order and new draws, which depend on the epoch's seeds only.

    Args:
        clips: number of training examples.
        batch_size: examples per batch; the last batch may have fewer.
        mixup: probability that an example is mixed.
        shares: (clips,) probabilities of examples, which are then drawn with replacement; None for a permutation.
        spare: (clips,) frames by which the window of an example may be moved; None moves none.
    """

    def __init__(
        self, clips: int, batch_size: int, mixup: float, *, shares: Shares | None = None, spare: Numbers | None = None
    ) -> None:
        self.clips = clips
        self.batch_size = batch_size
        self.mixup = mixup
        self.shares = shares
        self.spare = spare
        self.order_seed = self.draw_seed = 0

    def set_epoch(self, order_seed: int, draw_seed: int) -> None:
        """Set the seeds of the next epoch."""
        self.order_seed, self.draw_seed = order_seed, draw_seed

    def __len__(self) -> int:
        return math.ceil(self.clips / self.batch_size)

    def __iter__(self) -> Iterator[Item]:
        draws = draw(np.random.default_rng(self.draw_seed), self.clips, self.mixup)
        generator = np.random.default_rng(self.order_seed)
        if self.shares is None:
            order = rows = generator.permutation(self.clips)
        else:  # an example that is drawn twice has other draws each time
            order, rows = generator.choice(self.clips, self.clips, p=self.shares), np.arange(self.clips)
        places = np.random.default_rng((self.draw_seed, WINDOWS)).random((self.clips, 2))
        for start in range(0, self.clips, self.batch_size):
            positions, chosen = (part[start : start + self.batch_size] for part in (order, rows))
            taken = draws.take(chosen)
            if self.spare is not None:
                taken = self._moved(taken, positions, places[chosen])
            yield positions.tolist(), taken

    def _moved(self, draws: Draws, positions: Numbers, places: npt.NDArray[np.float64]) -> Draws:
        """Return draws with the starts of windows, of each example and of the partner that it is mixed with."""
        assert self.spare is not None
        partners = np.where(draws.partner == UNMIXED, 0, draws.partner)
        start, partner_start = (
            (uniforms * (self.spare[chosen] + 1)).astype(np.int64)
            for uniforms, chosen in zip(places.T, (positions, partners), strict=True)
        )
        return dataclasses.replace(draws, start=start, partner_start=partner_start)


def balanced_shares(truth: Truth) -> Shares:
    """Return (clips,) probabilities of training examples that draw all classes equally often.

    The weight of a clip is 1 / clips of its class, summed over its labels, as in AST@31088be
    egs/audioset/gen_weight_file.py. Clips without a label count as a class.

    Args:
        truth: (2, clips, classes), present and annotated classes.
    """
    present = (truth[0] & truth[1]).astype(np.float64)
    present = np.column_stack([present, present.sum(1) == 0])
    weights = (present / np.maximum(1, present.sum(0))).sum(1)
    shares: Shares = weights / weights.sum()
    return shares
