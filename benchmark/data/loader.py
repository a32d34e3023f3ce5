"""Load batches of features and targets for a trial."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from benchmark.data.array_shard import Array
from benchmark.data.audio_store import AudioStore
from benchmark.data.augmentation import UNMIXED, Draws, noise, spans
from benchmark.data.frontend import HOP, WINDOW, Augmentation, FrontEnd, Mixture, RawBatch
from benchmark.data.manifest import Clip
from benchmark.data.order import Item, TrainingOrder
from benchmark.data.prefetch import prefetched
from benchmark.data.targets import Targets, Truth, mix_targets, truth_of
from benchmark.data.windows import Windows
from benchmark.spec.recipe import EVAL_FACTOR

if TYPE_CHECKING:
    from benchmark.data.device_banks import HeldBanks
    from benchmark.data.workers import DataWorkers

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # features, targets, weight of each target (0: not annotated)


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
        clips: which clips, in which order; a clip with several windows is repeated for each.
        classes: number of classes.
        front_end: settings of the features.
        truth: targets of the clips; None makes them of the clips' labels when they are needed.
        held: filter banks of the clips in the memory of a device; None reads them batch by batch.
        windows: which part of each clip is read; None for the beginning, as in the reference.
    """

    def __init__(
        self,
        audio: AudioStore,
        clips: Sequence[Clip],
        classes: int,
        front_end: FrontEnd,
        *,
        truth: Truth | None = None,
        held: HeldBanks | None = None,
        windows: Windows | None = None,
    ) -> None:
        self.audio = audio
        self.clips = clips
        self.classes = classes
        self.front_end = front_end
        self.held = held
        self.windows = windows
        self._truth = truth

    def holding(self, held: HeldBanks) -> Clips:
        """Return the same clips with their filter banks in the memory of a device."""
        return Clips(
            self.audio,
            self.clips,
            self.classes,
            self.front_end,
            truth=self._truth,
            held=held,
            windows=self.windows,
        )

    @property
    def recordings(self) -> Sequence[Clip]:
        """The clips, each once."""
        return self.clips if self.windows is None else [self.clips[i] for i in self.windows.firsts]

    def start(self, position: int) -> int:
        """Return the first frame of the window at a position."""
        return 0 if self.windows is None else int(self.windows.starts[position])

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: Item) -> Loaded:
        """Return the batch of the clips at some positions; without filter banks if a device holds them."""
        return self.load(item, banks=self.held is None)

    def load(self, item: Item, *, banks: bool) -> Loaded:
        """Return the batch of the clips at some positions.

        Args:
            item: the batch.
            banks: whether to read the filter banks.
        """
        positions, draws = item
        targets, observed = self.targets(positions)
        if draws is None:
            still = [0] * len(positions)
            clean = self._banks(positions, still, still, mixed=set()) if banks else self._no_banks()
            return Loaded(RawBatch(clean, None, None), targets, observed)
        rows = np.flatnonzero(draws.partner != UNMIXED).tolist()
        mixture = None
        if rows:
            partners = draws.partner[rows].tolist()
            shares = torch.from_numpy(draws.weight[rows]).to(torch.float32)
            first = zip([positions[row] for row in rows], draws.start[rows].tolist(), strict=True)
            second = zip(partners, draws.partner_start[rows].tolist(), strict=True)
            mixture = self._mixture(rows, list(first), list(second), shares)
            both = mix_targets((targets[rows], observed[rows]), self.targets(partners), shares.unsqueeze(1))
            targets[rows], observed[rows] = both
        rolls = draws.roll.tolist() if self.front_end.noise else [0] * len(positions)
        moves = draws.start.tolist()
        clean = self._banks(positions, moves, rolls, mixed=set(rows)) if banks else self._no_banks()
        return Loaded(RawBatch(clean, mixture, self._augmentation(draws)), targets, observed)

    def _no_banks(self) -> torch.Tensor:
        return torch.empty(0, self.front_end.frames, self.front_end.mels)

    def _banks(self, positions: list[int], moves: list[int], rolls: list[int], mixed: set[int]) -> torch.Tensor:
        """Return (B, frames, mels) banks, cut or padded, and rolled; rows of mixed clips are left to the front end."""
        end = self.front_end
        banks = np.empty((len(positions), end.frames, end.mels), np.float32)
        for row, (bank, position, move, roll) in enumerate(zip(banks, positions, moves, rolls, strict=True)):
            if row not in mixed:
                begin = self.start(position) + move
                clean, start = self.audio.bank(self.clips[position], begin, end.frames), roll % end.frames
                straight = min(len(clean), end.frames - start)  # the rest wraps around to the start
                wrapped = len(clean) - straight
                bank[start : start + straight] = clean[:straight]
                bank[:wrapped] = clean[straight:]
                bank[wrapped:start] = bank[start + straight :] = end.fill
        return torch.from_numpy(banks)

    def _mixture(
        self, rows: list[int], first: list[tuple[int, int]], second: list[tuple[int, int]], shares: torch.Tensor
    ) -> Mixture:
        """Read the waveforms of mixed clips and their partners, padded to the longest clip, without their means.

        Args:
            rows: of the mixed clips in the batch.
            first: position of each, and frames by which its window is moved.
            second: the same of the partners.
            shares: (M,) share of the first.
        """
        ones, others = ([self._wave(*place) for place in places] for places in (first, second))
        lengths = [len(wave) for wave in ones]
        waves = np.empty((2, len(rows), max(lengths)), np.float32)
        for row, (pair, size) in enumerate(zip(zip(ones, others, strict=True), lengths, strict=True)):
            for wave, place in zip(pair, waves[:, row], strict=True):
                kept = min(len(wave), size)
                np.subtract(wave[:kept], wave.mean(), out=place[:kept])  # mean of the whole clip, as in the reference
                place[kept:] = 0.0
        one, other = torch.from_numpy(waves)
        return Mixture(torch.tensor(rows), one, other, shares, torch.tensor(lengths))

    def _wave(self, position: int, move: int) -> Array:
        """Return the waveform of a window; the whole clip's where the beginning is read, as in the reference."""
        if self.windows is None:
            return self.audio.wave(self.clips[position])
        begin = HOP * (self.start(position) + move)
        return self.audio.wave(self.clips[position], begin, HOP * (self.front_end.frames - 1) + WINDOW)

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
        clips = Clips(
            self.audio,
            [self.clips[position] for position in needed],
            self.classes,
            self.front_end,
            truth=self.truth[:, needed],
            held=self.held,
            windows=self.windows and self.windows.take(needed),
        )
        return clips, ([place[position] for position in positions], draws)

    @functools.cached_property
    def truth(self) -> Truth:
        """Targets of all clips, made once."""
        return truth_of(self.clips, self.classes) if self._truth is None else self._truth

    def targets(self, positions: Sequence[int]) -> Targets:
        """Return two (B, classes) tensors: ones at the clips' labels, and ones at annotated classes."""
        targets, observed = self.truth[:, list(positions)].astype(np.float32)
        return torch.from_numpy(targets), torch.from_numpy(observed)


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
        if self.device.type == "cuda":
            yield from prefetched(self._sources(), self._on_device, self.device)
        else:
            yield from map(self._on_device, self._sources())

    def _sources(self) -> Iterator[_Source]:
        """Yield what was read of every batch."""
        held = self.clips.held
        items, sent = itertools.tee(self.items)  # workers take them before their batches are here
        work = ((self.clips, item) for item in sent)
        read = self.workers.load(work) if self.workers else (clips[item] for clips, item in work)
        for loaded, (positions, _) in zip(read, items, strict=True):
            yield _Source(loaded, held.rows[positions] if held else None)

    def _on_device(self, source: _Source) -> Batch:
        """Copy a batch to the device and compute its features there."""
        loaded, held = source.loaded, self.clips.held
        raw = loaded.raw
        if held is not None and source.rows is not None:
            drawn = raw.augmentation
            rolls = drawn.rolls if drawn and drawn.noise is not None else None
            raw = raw._replace(banks=held.take(source.rows, rolls))
        features = self.clips.front_end(raw, self.device)
        targets, observed = (part.to(self.device, non_blocking=True) for part in (loaded.targets, loaded.observed))
        return features, targets, observed


class _Source(NamedTuple):
    """A batch in the memory of the host.

    Attributes:
        loaded: what was read.
        rows: (B,) rows of the clips in the banks that the device holds; None if it holds none.
    """

    loaded: Loaded
    rows: torch.Tensor | None


def training_batches(clips: Clips, order: TrainingOrder, workers: DataWorkers | None, device: torch.device) -> Batches:
    """Return batches in training order; call `order.set_epoch` before each epoch."""
    return Batches(clips, order, workers, device)


def evaluation_batches(
    clips: Clips, batch_size: int, workers: DataWorkers | None, device: torch.device, factor: int = EVAL_FACTOR
) -> Batches:
    """Return batches of all clips in their order, without augmentation; workers read only what no device holds.

    Args:
        clips: what is read.
        batch_size: clips of a training batch.
        workers: processes that read; None reads in this process.
        device: where the features are computed.
        factor: training batches in an evaluation batch.
    """
    size, positions = factor * batch_size, list(range(len(clips)))
    items: list[Item] = [(positions[start : start + size], None) for start in range(0, len(positions), size)]
    return Batches(clips, items, None if clips.held else workers, device)
