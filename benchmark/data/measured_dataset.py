"""Datasets whose facts are those of their folder, and whose recipe `data prepare` measures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from benchmark.commands import command
from benchmark.data.dataset import Dataset, make_manifest
from benchmark.data.manifest import Clip, Manifest, Split
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.spec.recipe import Layer, resolve_recipe
from benchmark.spec.yaml import read_yaml, validate

RECIPE = "recipe.yaml"
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Listing:
    """What a folder lists.

    Attributes:
        clips: in a stable order.
        classes: names of the classes, in the order of their indices.
        remarks: what was read in another way than it is written.
        multi_label: whether a clip can have several labels; None if that shows in the clips.
        validation_fold: see `DatasetInfo.validation_fold`.
        seconds: usual length of a clip; 0 if unknown.
        source: see `Manifest.source`.
        label: name in tables; empty for that of the dataset.
    """

    clips: Sequence[Clip]
    classes: tuple[str, ...]
    remarks: Sequence[str] = ()
    multi_label: bool | None = None
    validation_fold: bool = False
    seconds: float = 0
    source: str | None = None
    label: str = ""


class MeasuredDataset(Dataset):
    """A dataset without declared facts: a user's own audio, or one of many public datasets in one layout.

    Classes, splits and folds are those of the folder. The recipe is the one of all folders, with the length and level
    that `data prepare` measures.
    """

    @property
    def recipe(self) -> str:
        """Return the name of the recipe of all folders."""
        return "folder"

    @abstractmethod
    def listing(self, folder: Path) -> Listing:
        """Return what a folder lists; no audio is read.

        Raises:
            BenchmarkError: the folder does not follow the layout.
        """

    def read(self, folder: Path) -> list[Clip]:
        """Read the clips; see `Dataset.read`."""
        return list(self.listing(folder).clips)

    def manifest(self, data_root: Path) -> Manifest:
        """Return the manifest; classes, folds and splits are those of the folder. See `Dataset.manifest`."""
        return self.manifest_of(self.find(data_root))

    def manifest_of(self, place: Path) -> Manifest:
        """Return the manifest of a folder.

        Raises:
            BenchmarkError: the folder does not follow the layout, or its clips cannot be used for training and testing.
        """
        listing = self.listing(place)
        clips, classes = listing.clips, listing.classes
        if not clips:
            raise BenchmarkError(f"{place}: lists no clips")
        if len(classes) < 2:
            raise BenchmarkError(f"{place}: has fewer than two classes ({', '.join(classes) or 'no labels'})")
        splits = tuple(name for name in SPLITS if any(clip.split == name for clip in clips))
        if splits and not {"train", "test"} <= set(splits):
            raise BenchmarkError(
                f"{place}: has clips for {' and '.join(splits)}; it needs clips for train and for test"
            )
        folds = tuple(sorted({clip.fold for clip in clips if clip.fold is not None}))
        if len(folds) == 1:
            raise BenchmarkError(f"{place}: has only one fold; it needs at least two, one of them for testing")
        multi_label = listing.multi_label
        if multi_label is None:
            multi_label = any(len(clip.labels) > 1 for clip in clips)
        if not multi_label and (unlabelled := next((clip.path for clip in clips if not clip.labels), None)):
            raise BenchmarkError(
                f"{place}: {unlabelled} has no label; this is allowed only if other clips have several (`a|b`)"
            )
        info = replace(
            self.info,
            label=listing.label or self.info.label,
            classes=classes,
            clips=len(clips),
            seconds=listing.seconds,
            folds=folds,
            splits=splits,
            validation_fold=listing.validation_fold,
            multi_label=multi_label,
            metric="map" if multi_label else "accuracy",
        )
        return replace(make_manifest(info, place, clips, listing.remarks), source=listing.source)

    def own_recipe(self, folder: Path) -> list[Layer]:
        """Return what `data prepare` measured.

        Raises:
            MissingInputError: `data prepare` was not called yet.
            BenchmarkError: the recipe file has a mistake.
        """
        path = folder / RECIPE
        if not path.is_file():
            data_root = folder.parents[len(PurePosixPath(self.info.folders[0]).parts) - 1]
            raise MissingInputError(
                f"{self.info.name}: no {path}; measure length and level of the audio with "
                f"`{command('data', 'prepare', self.info.name, '--data-root', data_root)}`"
            )
        layer = validate(Layer, read_yaml(path), str(path))
        layer = layer.model_copy(update={"source": f"{path} ({layer.source})"})
        # a mistake in the file is an error here, with the name of the file
        resolve_recipe(self.recipe, backbone="", method="", tuning="peft", of_folder=[layer], overrides=[])
        return [layer]
