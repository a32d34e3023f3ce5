"""Load batches of features and targets for a trial."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from benchmark.data.audio_store import AudioStore
from benchmark.data.augmentation import UNMIXED, Draws, draw, noise, spans
from benchmark.data.frontend import Augmentation, FrontEnd, Mixture, RawBatch
from benchmark.data.manifest import Clip

if TYPE_CHECKING:
    from benchmark.data.workers import DataWorkers

Item = tuple[list[int], Draws | None]  # positions of a batch's clips, and their random draws in training
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # features, targets, weight of each target (0: not annotated)
Targets = tuple[torch.Tensor, torch.Tensor]
EVAL_BATCH_FACTOR = 2  # the reference evaluates with twice the training batch


class Loaded(NamedTuple):
    """What a data worker returns for a batch of B clips.

    Attributes:
        raw: input of the front end.
        targets: (B, classes), 1 for present classes; mixed clips have values in between.
        observed: (B, classes), weight of each target: 1 if it was annotated, 0 if not.
    """

    raw: RawBatch
    targets: torch.Tensor
    observed: torch.Tensor


class Clips(Dataset[Loaded]):
    """A list of clips, read batch by batch: clean filter banks, waveforms of the mixed clips, targets.

    Args:
        audio: where the audio is read.
        clips: which clips, in which order.
        classes: number of classes.
        front_end: settings of the features.
    """

    def __init__(self, audio: AudioStore, clips: Sequence[Clip], classes: int, front_end: FrontEnd) -> None:
        self.audio = audio
        self.clips = clips
        self.classes = classes
        self.front_end = front_end

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: Item) -> Loaded:
        """Return the batch of the clips at some positions."""
        positions, draws = item
        targets, observed = self.targets(positions)
        if draws is None:
            unrolled = [0] * len(positions)
            return Loaded(RawBatch(self._banks(positions, unrolled, mixed=set()), None, None), targets, observed)
        rows = np.flatnonzero(draws.partner != UNMIXED).tolist()
        mixture = None
        if rows:
            partners = draws.partner[rows].tolist()
            shares = torch.from_numpy(draws.weight[rows]).to(torch.float32)
            mixture = self._mixture(rows, [positions[row] for row in rows], partners, shares)
            both = mix_targets((targets[rows], observed[rows]), self.targets(partners), shares.unsqueeze(1))
            targets[rows], observed[rows] = both
        rolls = draws.roll.tolist() if self.front_end.noise else [0] * len(positions)
        raw = RawBatch(self._banks(positions, rolls, mixed=set(rows)), mixture, self._augmentation(draws))
        return Loaded(raw, targets, observed)

    def _banks(self, positions: list[int], rolls: list[int], mixed: set[int]) -> torch.Tensor:
        """Return (B, frames, mels) banks, cut or padded, and rolled; rows of mixed clips are left to the front end."""
        end = self.front_end
        banks = np.empty((len(positions), end.frames, end.mels), np.float32)
        for row, (bank, position, roll) in enumerate(zip(banks, positions, rolls, strict=True)):
            if row not in mixed:
                clean, start = self.audio.bank(self.clips[position])[: end.frames], roll % end.frames
                straight = min(len(clean), end.frames - start)  # the rest wraps around to the start
                wrapped = len(clean) - straight
                bank[start : start + straight] = clean[:straight]
                bank[:wrapped] = clean[straight:]
                bank[wrapped:start] = bank[start + straight :] = end.fill
        return torch.from_numpy(banks)

    def _mixture(self, rows: list[int], positions: list[int], partners: list[int], shares: torch.Tensor) -> Mixture:
        """Read the waveforms of mixed clips and their partners, padded to the longest clip, without their means."""
        first, second = ([self.audio.wave(self.clips[i]) for i in chosen] for chosen in (positions, partners))
        lengths = [len(wave) for wave in first]
        waves = np.empty((2, len(rows), max(lengths)), np.float32)
        for row, (pair, size) in enumerate(zip(zip(first, second, strict=True), lengths, strict=True)):
            for wave, place in zip(pair, waves[:, row], strict=True):
                kept = min(len(wave), size)
                np.subtract(wave[:kept], wave.mean(), out=place[:kept])  # mean of the whole clip, as in the reference
                place[kept:] = 0.0
        one, other = torch.from_numpy(waves)
        return Mixture(torch.tensor(rows), one, other, shares, torch.tensor(lengths))

    def _augmentation(self, draws: Draws) -> Augmentation:
        end = self.front_end
        freq, time = (
            torch.from_numpy(np.stack(spans(uniforms, bound, size), axis=1))
            for uniforms, bound, size in (
                (draws.freq, end.freq_mask, end.mels),
                (draws.time, end.time_mask, end.frames),
            )
        )
        cells = torch.from_numpy(noise(draws.noise_seed, end.frames, end.mels)) if end.noise else None
        gains = torch.from_numpy(draws.gain).to(torch.float32)
        return Augmentation(freq, time, gains, torch.from_numpy(draws.roll), cells)

    def part(self, item: Item) -> tuple[Clips, Item]:
        """Return the clips of one batch alone, and the batch in terms of them: all that a data worker has to know."""
        positions, draws = item
        if draws is None:
            needed = list(dict.fromkeys(positions))
        else:
            needed = list(dict.fromkeys([*positions, *draws.partner[draws.partner != UNMIXED].tolist()]))
        place = {position: number for number, position in enumerate(needed)}
        if draws is not None:
            partner = [place.get(position, UNMIXED) for position in draws.partner.tolist()]
            draws = dataclasses.replace(draws, partner=np.array(partner, draws.partner.dtype))
        clips = Clips(self.audio, [self.clips[position] for position in needed], self.classes, self.front_end)
        return clips, ([place[position] for position in positions], draws)

    def targets(self, positions: Sequence[int]) -> Targets:
        """Return two (B, classes) tensors: ones at the clips' labels, and ones at annotated classes."""
        targets = np.zeros((len(positions), self.classes), np.float32)
        observed = np.ones_like(targets)
        for row, position in enumerate(positions):
            clip = self.clips[position]
            targets[row, list(clip.labels)] = 1.0
            if clip.observed is not None:
                observed[row] = 0.0
                observed[row, list(clip.observed)] = 1.0
        return torch.from_numpy(targets), torch.from_numpy(observed)


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


class TrainingOrder(Sampler[Item]):
    """Batches of an epoch: a new permutation and new draws, which depend on the epoch's seeds only.

    Args:
        clips: length of the training list.
        batch_size: clips per batch; the last batch may have fewer.
        mixup: probability that a clip is mixed.
    """

    def __init__(self, clips: int, batch_size: int, mixup: float) -> None:
        self.clips = clips
        self.batch_size = batch_size
        self.mixup = mixup
        self.order_seed = self.draw_seed = 0

    def set_epoch(self, order_seed: int, draw_seed: int) -> None:
        """Set the seeds of the next epoch."""
        self.order_seed, self.draw_seed = order_seed, draw_seed

    def __len__(self) -> int:
        return math.ceil(self.clips / self.batch_size)

    def __iter__(self) -> Iterator[Item]:
        draws = draw(np.random.default_rng(self.draw_seed), self.clips, self.mixup)
        order = np.random.default_rng(self.order_seed).permutation(self.clips)
        for start in range(0, self.clips, self.batch_size):
            positions = order[start : start + self.batch_size]
            yield positions.tolist(), draws.take(positions)


def take_number_of_pass() -> None:
    """Take the number from torch's global generator that every pass over batches takes.

    A DataLoader in the trial's process once took it. It is still taken, with any number of workers, and for a pass of
    an evaluation that is left out, because what a method draws in training comes after it.
    """
    torch.empty((), dtype=torch.int64).random_()


@dataclass(frozen=True)
class Batches:
    """Batches of features on a device; each iteration over them is an epoch.

    Attributes:
        clips: what is read.
        items: the batches of an epoch.
        workers: processes that read; None reads in this process.
        device: where the features are computed.
    """

    clips: Clips
    items: Iterable[Item]
    workers: DataWorkers | None
    device: torch.device

    def __iter__(self) -> Iterator[Batch]:
        take_number_of_pass()
        items = ((self.clips, item) for item in self.items)
        for loaded in self.workers.load(items) if self.workers else (clips[item] for clips, item in items):
            features = self.clips.front_end(loaded.raw, self.device)
            targets, observed = (part.to(self.device, non_blocking=True) for part in (loaded.targets, loaded.observed))
            yield features, targets, observed


def training_batches(clips: Clips, order: TrainingOrder, workers: DataWorkers | None, device: torch.device) -> Batches:
    """Return batches in training order; call `order.set_epoch` before each epoch."""
    return Batches(clips, order, workers, device)


def evaluation_batches(clips: Clips, batch_size: int, workers: DataWorkers | None, device: torch.device) -> Batches:
    """Return batches of all clips in their order, without augmentation."""
    size, positions = EVAL_BATCH_FACTOR * batch_size, list(range(len(clips)))
    items: list[Item] = [(positions[start : start + size], None) for start in range(0, len(positions), size)]
    return Batches(clips, items, workers, device)
