"""Clips and the manifest of a dataset: what is there, without reading any audio."""

from __future__ import annotations

import functools
import hashlib
import json
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmark.data.dataset_info import DatasetInfo
from benchmark.errors import BenchmarkError

Kind = Literal["complete", "partial", "synthetic"]
Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Clip:
    """One recording: path relative to the dataset's folder, size in bytes, class indices, and fold or split.

    `observed` are the classes that were annotated at all; None where all were. `changed` is the file's time of change
    in nanoseconds, which is no part of what the clip is.
    """

    path: str
    size: int
    labels: tuple[int, ...]
    fold: int | None = None
    split: Split | None = None
    observed: tuple[int, ...] | None = None
    changed: int = field(default=0, compare=False)

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
    ) -> Clip:
        """The clip of a file that metadata lists at `place`.

        Raises:
            BenchmarkError: the file is not there.
        """
        try:
            found = (folder / path).stat()
        except (OSError, ValueError):  # ValueError: a name that no file can have
            raise BenchmarkError(f"{place}: {folder / path} is not there") from None
        if not stat.S_ISREG(found.st_mode):
            raise BenchmarkError(f"{place}: {folder / path} is not a file")
        return cls(path, found.st_size, labels, fold, split, observed, changed=found.st_mtime_ns)


@dataclass(frozen=True)
class Manifest:
    """The clips in use and where they are."""

    info: DatasetInfo
    folder: Path
    clips: tuple[Clip, ...]
    synthetic: bool

    @functools.cached_property  # every trial of a grid asks for it, and a dataset can have 100,000 clips
    def digest(self) -> str:
        """sha256 over path, size, labels, fold and split of every clip; no audio is read, so equal sizes look equal."""
        rows = [[clip.path, clip.size, clip.labels, clip.fold, clip.split, clip.observed] for clip in self.clips]
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()

    @property
    def kind(self) -> Kind:
        """Whether these clips can speak for the dataset."""
        if self.synthetic:
            return "synthetic"
        return "complete" if len(self.clips) == self.info.clips else "partial"

    def splits(self, fold: int) -> dict[str, list[int]]:
        """Indices into `clips` for every split: by fold (`test` is the fold, `train` the others), or as listed.

        Raises:
            BenchmarkError: a split is empty.
        """
        if self.info.folds:
            by_split = {
                "train": [i for i, clip in enumerate(self.clips) if clip.fold != fold],
                "test": [i for i, clip in enumerate(self.clips) if clip.fold == fold],
            }
        else:
            names = [name for name in ("train", "validation", "test") if name in self.info.splits]
            by_split = {name: [i for i, clip in enumerate(self.clips) if clip.split == name] for name in names}
        for name, indices in by_split.items():
            if not indices:
                raise BenchmarkError(f"{self.folder}: no clips in the {name} split of fold {fold}")
        return by_split
