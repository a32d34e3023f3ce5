"""Clips and the manifest of a dataset: what is there, without reading any audio."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmark.data.facts import DatasetFacts
from benchmark.errors import BenchmarkError

Kind = Literal["complete", "partial", "synthetic"]


@dataclass(frozen=True)
class Clip:
    """One recording: path relative to the dataset's folder, size in bytes, class indices, and fold or split.

    `observed` are the classes that were annotated at all; None where all were.
    """

    path: str
    size: int
    labels: tuple[int, ...]
    fold: int | None = None
    split: Literal["train", "validation", "test"] | None = None
    observed: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Manifest:
    """The clips in use and where they are."""

    facts: DatasetFacts
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
        return "complete" if len(self.clips) == self.facts.clips else "partial"

    def splits(self, fold: int) -> dict[str, list[int]]:
        """Indices into `clips` for every split: by fold (`test` is the fold, `train` the others), or as listed.

        Raises:
            BenchmarkError: a split is empty.
        """
        if self.facts.folds:
            by_split = {
                "train": [i for i, clip in enumerate(self.clips) if clip.fold != fold],
                "test": [i for i, clip in enumerate(self.clips) if clip.fold == fold],
            }
        else:
            names = [name for name in ("train", "validation", "test") if name in self.facts.splits]
            by_split = {name: [i for i, clip in enumerate(self.clips) if clip.split == name] for name in names}
        for name, indices in by_split.items():
            if not indices:
                raise BenchmarkError(f"{self.folder}: no clips in the {name} split of fold {fold}")
        return by_split
