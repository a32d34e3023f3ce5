"""What is known of a dataset before any of its files is seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Archive:
    """The file that a dataset is published as.

    `hash` is ALGORITHM:DIGEST; `certain` is False where it comes from a third party, or the publisher packs the archive
    anew now and then: then another hash is told and no error. `top` is the folder inside that is the dataset; empty
    where the archive has none.
    """

    file: str
    urls: tuple[str, ...]
    hash: str
    certain: bool
    top: str
    bytes: int | None = None


@dataclass(frozen=True)
class AudioDigest:
    """Identifies the publisher's audio: sha256 of the sorted lines `md5  PREFIXpath`, joined by newlines."""

    files: int
    prefix: str
    sha256: str


@dataclass(frozen=True)
class DatasetInfo:
    """Facts of one dataset, stated in its file under `benchmark/data/datasets/`.

    `folders` are the names that the official folder goes by under the data root, the first one found is taken.
    `folds` is empty where the dataset comes with listed `splits`. `clips` is the official number. `metric` is what is
    reported: accuracy, or the class mean of average precision. `published` are counts of clips by class, fold, split
    and so on, where the publisher gives them; `notes` are known faults.
    """

    name: str
    label: str
    description: str
    folders: tuple[str, ...]
    classes: tuple[str, ...]
    clips: int
    seconds: float
    metric: Literal["accuracy", "map"]
    licence: str
    homepage: str
    citation: str
    by_hand: str
    folds: tuple[int, ...] = ()
    splits: tuple[str, ...] = ()

    multi_label: bool = False
    archive: Archive | None = None
    audio: AudioDigest | None = None
    published: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def fold_units(self) -> tuple[int, ...]:
        """Folds to train on; (0,) where there are none."""
        return self.folds or (0,)

    def split_sizes(self, fold: int) -> dict[str, int]:
        """Official clips of every split; empty where the publisher gives no counts (a user's own folder)."""
        if self.folds and (folds := self.published.get("fold")):
            return {"train": self.clips - folds[str(fold)], "test": folds[str(fold)]}
        return dict(self.published.get("split", {}))

    def evenly(self, clips: int) -> DatasetInfo:
        """The dataset with so many clips in every fold, or in every split."""
        kind, names = ("fold", self.folds) if self.folds else ("split", self.splits)
        sizes = {str(name): clips for name in names}
        return dataclasses.replace(self, clips=sum(sizes.values()), published={kind: sizes})
