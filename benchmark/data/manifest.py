"""The clips of a dataset as they are on disk, without reading any audio."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmark.data.dataset_info import DatasetInfo
from benchmark.errors import BenchmarkError
from benchmark.units import plural

Kind = Literal["complete", "partial", "synthetic"]
Split = Literal["train", "validation", "test"]
ABSENT = -1


@dataclass(frozen=True)
class Clip:
    """One recording.

    Attributes:
        path: relative to the dataset's folder.
        size: in bytes; `ABSENT` if the metadata lists the clip and its file is not there.
        labels: indices of the classes that are present.
        fold: number of the fold; None for datasets with splits.
        split: name of the split; None for datasets with folds.
        observed: indices of the classes that were annotated; None if all were.
        group: what the clip shares with other clips, such as their source recording; clips of equal groups are not
            independent. By default a clip shares nothing. It is no part of the manifest's digest.
        changed: modification time of the file in nanoseconds; ignored when clips are compared.
    """

    path: str
    size: int
    labels: tuple[int, ...]
    fold: int | None = None
    split: Split | None = None
    observed: tuple[int, ...] | None = None
    group: str = field(default="", compare=False)
    changed: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        """Give a clip that shares nothing a group of its own."""
        if not self.group:
            object.__setattr__(self, "group", self.path)

    @classmethod
    def at(
        cls,
        folder: Path,
        path: str,
        labels: tuple[int, ...],
        *,
        place: str,
        fold: int | None = None,
        split: Split | None = None,
        observed: tuple[int, ...] | None = None,
        group: str = "",
    ) -> Clip:
        """Return the clip of a file that the metadata lists; of size `ABSENT` if the file does not exist.

        Args:
            folder: the dataset's.
            path: relative to it.
            labels: indices of the classes that are present.
            place: where the metadata lists the file, for messages.
            fold: number of the fold.
            split: name of the split.
            observed: indices of the annotated classes; None for all.
            group: what the clip shares with others; empty for nothing.

        Raises:
            BenchmarkError: there is something else than a file.
        """
        try:
            status = os.stat(f"{folder}/{path}")  # noqa: PTH116  # a dataset can have 100,000 clips, and a Path is slow
        except (OSError, ValueError):  # ValueError: an impossible file name
            return cls(path, ABSENT, labels, fold, split, observed, group)
        if not stat.S_ISREG(status.st_mode):
            raise BenchmarkError(f"{place}: {folder / path} is not a file")
        return cls(path, status.st_size, labels, fold, split, observed, group, changed=status.st_mtime_ns)


@dataclass(frozen=True)
class Manifest:
    """The clips in use and where they are.

    Attributes:
        info: what is known of the dataset.
        folder: the dataset's.
        clips: all clips of the folder, in a stable order.
        synthetic: whether the audio was generated.
        absent: clips that the metadata lists and whose file is not there.
        remarks: what was read in another way than it is written, one line each.
        source: which version of a published repository the clips are; None if that is not known.
    """

    info: DatasetInfo
    folder: Path
    clips: tuple[Clip, ...]
    synthetic: bool
    absent: tuple[Clip, ...] = ()
    remarks: tuple[str, ...] = ()
    source: str | None = None

    def require_all(self) -> None:
        """Check that all listed clips have a file.

        Raises:
            BenchmarkError: some do not.
        """
        if self.absent:
            raise BenchmarkError(
                f"{self.absent_text}: get them, or use the other {plural(len(self.clips), 'clip')} with --on-bad-audio "
                "skip; results are marked as partial"
            )

    @property
    def absent_text(self) -> str:
        """Return which listed files are not there, in one line."""
        rest = f", nor are {len(self.absent) - 1:,} other files that the metadata lists" if self.absent[1:] else ""
        return f"{self.folder / self.absent[0].path} is not there{rest}"

    @functools.cached_property  # every trial of a grid needs it, and a dataset can have 100,000 clips
    def digest(self) -> str:
        """Return the sha256 over path, size, labels, fold and split of all clips.

        No audio is read: a file that is replaced by another one of equal size is not noticed.
        """
        rows = [[clip.path, clip.size, clip.labels, clip.fold, clip.split, clip.observed] for clip in self.clips]
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()

    @property
    def state(self) -> str:
        """Return the sha256 over the digest and the modification times of all clips: another one if a file changed."""
        times = [self.digest, *(clip.changed for clip in self.clips)]
        return hashlib.sha256(json.dumps(times, separators=(",", ":")).encode()).hexdigest()

    @property
    def kind(self) -> Kind:
        """Return whether the clips are all of the dataset, some of them, or generated."""
        if self.synthetic:
            return "synthetic"
        return "complete" if len(self.clips) == self.info.clips else "partial"

    def splits(self, fold: int) -> Mapping[str, Sequence[int]]:
        """Return indices into `clips` for every split: `test` is the fold and `train` the others, or as listed.

        If the dataset has validation folds, `validation` is the fold after the test fold. The same fold again costs
        nothing: a plan asks for every trial.

        Raises:
            BenchmarkError: a split is empty.
        """
        if fold not in self._splits:
            self._splits[fold] = self._split(fold)
        return self._splits[fold]

    @functools.cached_property
    def _splits(self) -> dict[int, Mapping[str, Sequence[int]]]:
        """Return the splits by fold that were asked for; empty at first."""
        return {}

    def _split(self, fold: int) -> Mapping[str, Sequence[int]]:
        if self.info.folds:
            held_out = {"test": fold}
            if self.info.validation_fold:
                held_out = {"validation": self.following(fold), "test": fold}
            by_split = {
                "train": [i for i, clip in enumerate(self.clips) if clip.fold not in held_out.values()],
                **{name: [i for i, clip in enumerate(self.clips) if clip.fold == of] for name, of in held_out.items()},
            }
        else:
            names = [name for name in ("train", "validation", "test") if name in self.info.splits]
            by_split = {name: [i for i, clip in enumerate(self.clips) if clip.split == name] for name in names}
        for name, indices in by_split.items():
            if not indices:
                there = f" (folds with clips: {', '.join(map(str, self.folds))})" if self.info.folds else ""
                raise BenchmarkError(f"{self.folder}: no clips in the {name} split of fold {fold}{there}")
        return by_split

    def following(self, fold: int) -> int:
        """Return the fold with clips after a fold; after the last one, the first."""
        return next((number for number in self.folds if number > fold), self.folds[0])

    @property
    def folds(self) -> tuple[int, ...]:
        """Return the folds to test on that have clips; (0,) if the dataset has no folds."""
        there = {clip.fold for clip in self.clips}
        return tuple(fold for fold in self.info.folds if fold in there) or self.info.fold_units
