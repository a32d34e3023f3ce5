"""Clean filter banks of a trial's clips in the memory of its device, so that no epoch reads them again."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from benchmark.data.array_shard import Array
from benchmark.data.audio_store import AudioStore
from benchmark.data.frontend import rolled
from benchmark.data.manifest import Clip
from benchmark.data.parallel import in_order, torch_threads

if TYPE_CHECKING:
    from benchmark.data.loader import Clips

FLOAT_BYTES = 4


@dataclass(frozen=True)
class HeldBanks:
    """The clean filter banks of a list of clips.

    Attributes:
        banks: (N, frames, mels) raw banks on a device, cut or padded; the splits of a trial share them.
        rows: (clips,) row of each clip, on the CPU.
    """

    banks: torch.Tensor
    rows: torch.Tensor

    def take(self, rows: torch.Tensor, rolls: torch.Tensor | None) -> torch.Tensor:
        """Return new (B, frames, mels) banks.

        Args:
            rows: (B,) rows of `banks`.
            rolls: (B,) shifts along time in frames; None for no shifts.
        """
        device = self.banks.device
        taken = self.banks.index_select(0, rows.to(device, non_blocking=True))
        return taken if rolls is None else rolled(taken, rolls.to(device, non_blocking=True))


def held_bytes(splits: Mapping[str, Clips]) -> int:
    """Return the memory that `hold` takes."""
    return FLOAT_BYTES * math.prod(_shape(splits))


def hold(splits: Mapping[str, Clips], device: torch.device, threads: int) -> dict[str, Clips]:
    """Read the clean filter banks of all splits into the memory of a device; return the splits with them.

    A window of several splits is held once.

    Args:
        splits: clips by split, of one dataset folder and one front end.
        device: where the banks are kept.
        threads: CPU threads that read.

    Raises:
        BadAudioError: a file is bad.
        OSError: a clip cannot be read now.
        torch.OutOfMemoryError: the device has no room.
    """
    assert not any(split.windows and split.windows.move for split in splits.values())  # other banks in every epoch
    any_split, windows = next(iter(splits.values())), _distinct(splits)
    banks = torch.full(_shape(splits), any_split.front_end.fill, device=device)
    read = functools.partial(_read, any_split.audio, any_split.front_end.frames)
    with torch_threads(1):  # each core has a clip already, where banks are computed
        for place, bank in zip(banks, in_order(read, list(windows.values()), threads), strict=True):
            place[: len(bank)] = torch.from_numpy(bank)
    row_of = {window: row for row, window in enumerate(windows)}
    return {
        name: split.holding(HeldBanks(banks, torch.tensor([row_of[window] for window, _ in _windows(split)])))
        for name, split in splits.items()
    }


def _distinct(splits: Mapping[str, Clips]) -> dict[tuple[str, int], tuple[Clip, int]]:
    """Return the windows of all splits by path and first frame: the clip and the first frame of each."""
    return {window: (clip, window[1]) for split in splits.values() for window, clip in _windows(split)}


def _windows(split: Clips) -> Iterator[tuple[tuple[str, int], Clip]]:
    """Yield path and first frame of each window of a split, and its clip."""
    for position, clip in enumerate(split.clips):
        yield (clip.path, split.start(position)), clip


def _shape(splits: Mapping[str, Clips]) -> tuple[int, int, int]:
    end = next(iter(splits.values())).front_end
    return len(_distinct(splits)), end.frames, end.mels


def _read(audio: AudioStore, frames: int, window: tuple[Clip, int]) -> Array:
    return audio.bank(*window, frames)
