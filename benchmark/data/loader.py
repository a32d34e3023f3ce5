"""Batches of features and targets for a trial."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from benchmark.data.audio import decode
from benchmark.data.augmentation import Draws, draw
from benchmark.data.clips import Clip
from benchmark.data.frontend import FrontEnd, mix, remove_mean

Item = tuple[int, Draws | None]
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # features, targets, how far each target was observed
Target = tuple[torch.Tensor, torch.Tensor]
EVAL_BATCH_FACTOR = 2  # the reference evaluates with twice the training batch


class Features(Dataset[Batch]):
    """Features, multi-hot targets and observed classes of a list of clips, item by item."""

    def __init__(self, folder: Path, clips: Sequence[Clip], classes: int, front_end: FrontEnd) -> None:
        self.folder = folder
        self.clips = clips
        self.classes = classes
        self.front_end = front_end

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: Item) -> Batch:
        """((position, draws)) -> features (frames, mels), target (classes,), observed (classes,)."""
        position, draws = item
        wave, target, observed = self.wave(position), *self.target(position)
        if draws is not None and draws.partner is not None:
            wave = mix(wave, self.wave(draws.partner), draws.weight)
            target, observed = mix_targets((target, observed), self.target(draws.partner), draws.weight)
        return self.front_end(wave, draws), target, observed

    def wave(self, position: int) -> torch.Tensor:
        """(samples,) at 16 kHz, mean-free."""
        return remove_mean(torch.from_numpy(decode(self.folder / self.clips[position].path)))

    def target(self, position: int) -> Target:
        """(classes,) ones at the clip's labels, and (classes,) ones where it was annotated."""
        clip = self.clips[position]
        target = torch.zeros(self.classes)
        target[list(clip.labels)] = 1.0
        if clip.observed is None:
            return target, torch.ones(self.classes)
        observed = torch.zeros(self.classes)
        observed[list(clip.observed)] = 1.0
        return target, observed


def mix_targets(first: Target, second: Target, weight: float) -> Target:
    """Mixed targets and weights, such that the weighted loss of the mixture is the mixture of both clips' losses."""
    (one, seen), (other, also_seen) = first, second
    observed = weight * seen + (1 - weight) * also_seen
    target = weight * seen * one + (1 - weight) * also_seen * other
    return torch.where(observed > 0, target / observed.clamp(min=1e-12), 0.0), observed


class TrainingOrder(Sampler[list[Item]]):
    """Batches of an epoch: a fresh permutation and fresh draws, both a function of the epoch's seeds alone."""

    def __init__(self, clips: int, batch_size: int, mixup: float) -> None:
        self.clips = clips
        self.batch_size = batch_size
        self.mixup = mixup
        self.order_seed = self.draw_seed = 0

    def set_epoch(self, order_seed: int, draw_seed: int) -> None:
        """Seeds of the next epoch."""
        self.order_seed, self.draw_seed = order_seed, draw_seed

    def __len__(self) -> int:
        return math.ceil(self.clips / self.batch_size)

    def __iter__(self) -> Iterator[list[Item]]:
        draws = draw(np.random.default_rng(self.draw_seed), self.clips, self.mixup)
        order = np.random.default_rng(self.order_seed).permutation(self.clips)
        for start in range(0, self.clips, self.batch_size):
            yield [(int(i), draws[i]) for i in order[start : start + self.batch_size]]


def training_loader(features: Features, order: TrainingOrder, workers: int, device: torch.device) -> DataLoader[Batch]:
    """Batches in training order; call `order.set_epoch` before each pass."""
    return _loader(features, order, workers, device)


def evaluation_loader(features: Features, batch_size: int, workers: int, device: torch.device) -> DataLoader[Batch]:
    """Batches of all clips in their order, without augmentation."""
    size = EVAL_BATCH_FACTOR * batch_size
    positions: list[Item] = [(i, None) for i in range(len(features))]
    batches = [positions[start : start + size] for start in range(0, len(positions), size)]
    return _loader(features, batches, workers, device)


def _loader(
    features: Features, batches: Sampler[list[Item]] | list[list[Item]], workers: int, device: torch.device
) -> DataLoader[Batch]:
    return DataLoader(
        features,
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        worker_init_fn=_one_thread,
    )


def _one_thread(_: int) -> None:
    """Intra-op threads of several workers would fight each other."""
    torch.set_num_threads(1)
