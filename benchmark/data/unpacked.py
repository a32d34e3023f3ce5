"""Datasets that `data prepare` unpacks from a public format: recordings as files, beside one table.

Recordings keep their bytes. A run needs neither the network nor the library or tool of the format.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from benchmark.commands import command
from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.datasets.folder import deal_folds
from benchmark.data.groups import are_shared, deal_groups, divided_groups
from benchmark.data.manifest import Clip, Split
from benchmark.data.measured_dataset import Listing, MeasuredDataset
from benchmark.data.validation_split import share_of
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.spec.yaml import Spec, validate

TABLE = "clips.json"


class UnpackedClip(NamedTuple):
    """A recording.

    Attributes:
        path: relative to the folder.
        labels: indices of the classes.
        split: its split; None where there are folds, or where clips are dealt to folds.
        fold: its fold, from 1; None where there are splits.
        group: what it shares with other clips; empty for nothing.
    """

    path: str
    labels: tuple[int, ...]
    split: Split | None = None
    fold: int | None = None
    group: str = ""


class Unpacked(Spec):
    """The content of `clips.json`.

    Attributes:
        name: of the dataset, with the options that chose its clips.
        origin: absolute path or address of what was unpacked.
        source: which version of a published repository it is; None if that is not known.
        classes: in the order of their indices.
        multi_label: whether a clip can have several labels.
        remarks: what was read in another way than it is written.
        clips: the recordings.
    """

    name: str
    origin: str
    source: str | None
    classes: tuple[str, ...]
    multi_label: bool
    remarks: tuple[str, ...]
    clips: tuple[UnpackedClip, ...]


class UnpackedDataset(MeasuredDataset):
    """Read a folder that `data prepare` unpacked.

    Args:
        name: as on the command line, in its canonical form.
        label: as in tables.
        description: one line.
        place: the folder below the data root.
        homepage: of the publisher.
        notes: what differs from the publisher's own evaluation.
        holds_out: whether validation clips are held out where the publisher has none: a share of the training clips,
            stratified by class, or the fold after the test fold.
        typed: the name for a suggested command; None for the canonical one.
    """

    def __init__(
        self,
        name: str,
        *,
        label: str,
        description: str,
        place: str,
        homepage: str,
        notes: Sequence[str] = (),
        holds_out: bool = False,
        typed: str | None = None,
    ) -> None:
        self._typed = typed or name
        self._notes = tuple(notes)
        self._holds_out = holds_out
        self.info = DatasetInfo(
            name=name,
            label=label,
            description=description,
            folders=(place,),
            classes=(),
            clips=0,
            seconds=0,
            metric="accuracy",
            licence="its publisher's",
            homepage=homepage,
            citation="",
            by_hand=f"unpack it with `{command('data', 'prepare', self._typed)}`",
            splits=("train", "test"),
        )

    @property
    @abstractmethod
    def where_from(self) -> str:
        """Return what is unpacked, in words for people."""

    def recognises(self, folder: Path) -> bool:
        """Return whether a folder has the place and the table of this dataset."""
        here = PurePosixPath(self.info.folders[0]).parts
        return folder.parts[-len(here) :] == here and (folder / TABLE).is_file()

    def locate(self, data_root: Path) -> Path | None:
        """Return the unpacked folder; None if it does not exist."""
        place = data_root / self.info.folders[0]
        return place if self.recognises(place) else None

    def _copies(self, data_root: Path) -> list[Path]:
        if place := self.locate(data_root):
            return [place]
        prepare = command("data", "prepare", self._typed, "--data-root", data_root)
        raise MissingInputError(
            f"{self.info.name}: no {data_root / self.info.folders[0]}; get {self.where_from} with `{prepare}`"
        )

    def listing(self, folder: Path) -> Listing:
        """Read the table; clips without fold and split are dealt to five folds. See `MeasuredDataset.listing`."""
        table = read_unpacked(folder)
        if table.name != self.info.name:
            raise BenchmarkError(f"{folder / TABLE}: is of {table.name}, not of {self.info.name}")
        place = str(folder / TABLE)
        if lost := [clip.path for clip in table.clips if any(label >= len(table.classes) for label in clip.labels)]:
            raise BenchmarkError(f"{place}: {lost[0]} has a label that is not one of its {len(table.classes)} classes")
        clips = [
            Clip.at(folder, clip.path, clip.labels, place=place, fold=clip.fold, split=clip.split, group=clip.group)
            for clip in table.clips
        ]
        of_groups: list[str] = []
        if all(clip.fold is None and clip.split is None for clip in clips):
            if are_shared(clips):
                clips, of_groups = deal_groups(clips, table.classes, folder / TABLE)
            else:
                clips = deal_folds(clips)
        else:
            of_groups = divided_groups(clips)
        has_folds = clips[0].fold is not None if clips else False
        if self._holds_out and not has_folds and not any(clip.split == "validation" for clip in clips):
            held_out = share_of([clip for clip in clips if clip.split == "train"])
            clips = [replace(clip, split="validation") if clip.path in held_out else clip for clip in clips]
        return Listing(
            clips,
            table.classes,
            [*table.remarks, *of_groups, *self._notes],
            table.multi_label,
            validation_fold=self._holds_out and has_folds,
            source=table.source,
        )


def read_unpacked(folder: Path) -> Unpacked:
    """Return the table of an unpacked folder.

    Raises:
        BenchmarkError: it cannot be read, or is damaged.
    """
    path = folder / TABLE
    try:
        return validate(Unpacked, json.loads(path.read_bytes()), str(path))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: cannot be read ({error}); remove the folder and prepare it again") from None
