"""What is known of a dataset before any of its files is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Archive:
    """The archive file of a dataset.

    Attributes:
        file: name of the file.
        urls: where it is published; empty if it cannot be downloaded.
        hash: ALGORITHM:DIGEST.
        certain: False if the hash comes from a third party, or the publisher repacks the archive now and then. A
            different hash is then reported, not an error.
        top: the dataset's folder inside the archive; empty if the archive has no top folder.
        bytes: size of the archive; None if unknown.
    """

    file: str
    urls: tuple[str, ...]
    hash: str
    certain: bool
    top: str
    bytes: int | None = None


@dataclass(frozen=True)
class AudioDigest:
    """Identify the publisher's audio files.

    Attributes:
        files: number of files.
        prefix: text before each path.
        sha256: of the sorted lines `md5  PREFIXpath`, joined by newlines.
    """

    files: int
    prefix: str
    sha256: str


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about one dataset, given in its file under `benchmark/data/datasets/`.

    Attributes:
        name: as on the command line and in records.
        label: as in tables.
        description: one line.
        folders: possible names of the official folder under the data root; the first one that exists is used.
        classes: names of the classes, in the order of their indices.
        clips: official number of clips.
        seconds: usual length of a clip.
        metric: what is reported: `accuracy`, or `map` (mean of the classes' average precision).
        licence: of the audio.
        homepage: of the publisher.
        citation: of the dataset.
        by_hand: how to get the data without `data prepare`.
        folds: numbers of the folds; empty if the dataset has listed `splits`.
        splits: names of the listed splits; empty if the dataset has folds.
        validation_fold: whether the fold after the test fold is for validation, not for training; see `Manifest`.
        multi_label: whether a clip can have several labels.
        archive: the file to download; None for the user's own audio.
        audio: digest of the publisher's audio; None if none is published.
        rate: sample rate of all official files in Hz; None if it varies or is not known.
        lengths: shortest and longest official clip in seconds; None if not known.
        published: official counts of clips by kind (class, fold, split, ...) and name.
        notes: known faults.
        held_out: whether the validation clips were taken from the training clips, because the dataset lists none.
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
    validation_fold: bool = False
    multi_label: bool = False
    archive: Archive | None = None
    audio: AudioDigest | None = None
    rate: int | None = None
    lengths: tuple[float, float] | None = None
    published: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    held_out: bool = False

    @property
    def fold_units(self) -> tuple[int, ...]:
        """Return the folds to test on, one trial each; (0,) if the dataset has no folds."""
        return self.folds or (0,)

    @property
    def has_validation(self) -> bool:
        """Return whether the dataset itself has validation clips."""
        return "validation" in self.splits or (self.validation_fold and bool(self.folds))

    def split_sizes(self, fold: int) -> dict[str, int]:
        """Return the official number of clips per split; empty if none are published (a user's own folder)."""
        if self.folds and (folds := self.published.get("fold")):
            return {"train": self.clips - folds[str(fold)], "test": folds[str(fold)]}
        return dict(self.published.get("split", {}))

    def evenly(self, clips: int) -> DatasetInfo:
        """Return the info of a smaller dataset with `clips` clips in every fold or split."""
        kind, names = ("fold", self.folds) if self.folds else ("split", self.splits)
        sizes = {str(name): clips for name in names}
        return dataclasses.replace(self, clips=sum(sizes.values()), published={kind: sizes})
