"""Your own audio: `folder:NAME` is the folder NAME under the data root, with a table or with one folder per class."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import cast

from benchmark.commands import command
from benchmark.data.dataset import SYNTHETIC_MARKER, Dataset
from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.manifest import Clip, Manifest, Split
from benchmark.data.metadata_files import file_names, folder_names, one_of, read_rows
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.spec.recipe import Layer, resolve_recipe
from benchmark.spec.yaml import read_yaml, validate

PREFIX = "folder:"
TABLE, RECIPE = "clips.csv", "recipe.yaml"
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au")
LIKE_SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"}
FOLDS = 5
MAX_FOLDS = 1000


class Folder(Dataset):
    """Read `NAME/clips.csv` with columns `path,label` and `fold` or `split`, or the files `NAME/[SPLIT/]CLASS/FILE`.

    Paths are relative to the folder. Several labels of a clip are separated by `|`. Classes are in alphabetical order.
    Without table and split folders, clips are assigned to five folds, stratified by class, by a digest of their path.

    Args:
        name: of the folder under the data root.

    Raises:
        BenchmarkError: the name has other characters than letters, digits, `_`, `-` and `.`.
    """

    def __init__(self, name: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
            raise BenchmarkError(f"{PREFIX}{name}: a name may have letters, digits, '_', '-' and '.' only")
        self.info = DatasetInfo(
            name=f"{PREFIX}{name}",
            label=name,
            description="your own audio",
            folders=(name,),
            classes=(),
            clips=0,
            seconds=0,
            metric="accuracy",
            licence="your own",
            homepage="",
            citation="",
            by_hand=f"put your audio there, with a table {TABLE} (path,label,fold or split) or one folder per class",
            splits=("train", "test"),
        )

    @property
    def recipe(self) -> str:
        """Return the name of the recipe of all folders."""
        return "folder"

    def manifest(self, data_root: Path) -> Manifest:
        """Return the manifest; classes, folds and splits are those of the folder. See `Dataset.manifest`."""
        place = self.find(data_root)
        clips, classes = self._clips(place)
        if not clips:
            raise BenchmarkError(f"{place}: has no audio files ({', '.join(SUFFIXES)}) in folders named after classes")
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
        multi_label = any(len(clip.labels) > 1 for clip in clips)
        if not multi_label and (unlabelled := next((clip.path for clip in clips if not clip.labels), None)):
            raise BenchmarkError(
                f"{place}: {unlabelled} has no label; this is allowed only if other clips have several (`a|b`)"
            )
        info = replace(
            self.info,
            classes=classes,
            clips=len(clips),
            folds=folds,
            splits=splits,
            multi_label=multi_label,
            metric="map" if multi_label else "accuracy",
        )
        return Manifest(info, place, tuple(clips), (place / SYNTHETIC_MARKER).is_file())

    def read(self, folder: Path) -> list[Clip]:
        """Read the clips; see `Dataset.read`."""
        return self._clips(folder)[0]

    def own_recipe(self, folder: Path) -> list[Layer]:
        """Return what `data prepare` measured.

        Raises:
            MissingInputError: `data prepare` was not called yet.
            BenchmarkError: the recipe file has a mistake.
        """
        path = folder / RECIPE
        if not path.is_file():
            raise MissingInputError(
                f"{self.info.name}: no {path}; measure length and level of your audio with "
                f"`{command('data', 'prepare', self.info.name, '--data-root', folder.parent)}`"
            )
        layer = validate(Layer, read_yaml(path), str(path))
        layer = layer.model_copy(update={"source": f"{path} ({layer.source})"})
        # a mistake in the file is an error here, with the name of the file
        resolve_recipe(self.recipe, backbone="", method="", tuning="peft", overrides=[layer])
        return [layer]

    def _clips(self, folder: Path) -> tuple[list[Clip], tuple[str, ...]]:
        if (folder / TABLE).is_file():
            return _from_table(folder)
        names = folder_names(folder)
        splits = [name for name in SPLITS if name in names]
        if odd := sorted(LIKE_SPLITS & set(names) - set(SPLITS)) if splits else []:
            raise BenchmarkError(f"{folder}: folder '{odd[0]}': folders of splits must be named {', '.join(SPLITS)}")
        if splits and (others := sorted(set(names) - set(splits))):
            raise BenchmarkError(f"{folder}: has folders of splits, but the folder '{others[0]}' is not a split")
        places = [(split, label) for split in splits for label in folder_names(folder / split)]
        listed = list(_files(folder, places or [("", name) for name in names]))
        classes = tuple(sorted({label for _, label, _ in listed}))
        clips = [
            Clip.at(folder, path, (classes.index(label),), split=cast("Split | None", split or None), place=str(folder))
            for path, label, split in listed
        ]
        return (clips if any(clip.split for clip in clips) else _with_folds(clips)), classes


def _files(folder: Path, places: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Yield path, class and split of every audio file.

    Raises:
        BenchmarkError: a class folder has no audio files; its class would disappear without notice.
    """
    for split, label in places:
        if not (names := file_names(folder / split / label, SUFFIXES)):
            raise BenchmarkError(
                f"{folder / split / label}: has no audio files ({', '.join(SUFFIXES)}); "
                "they must be directly in the folder of their class"
            )
        for name in names:
            yield "/".join(filter(None, (split, label, name))), label, split


def _with_folds(clips: list[Clip]) -> list[Clip]:
    """Assign clips to folds, stratified by class."""
    order = sorted(clips, key=lambda clip: (clip.labels, hashlib.sha1(clip.path.encode()).digest()))
    folds = {clip.path: number % FOLDS + 1 for number, clip in enumerate(order)}
    return [replace(clip, fold=folds[clip.path]) for clip in clips]


def _from_table(folder: Path) -> tuple[list[Clip], tuple[str, ...]]:
    """Read the clips and classes of a folder with a table."""
    table = folder / TABLE
    rows = list(read_rows(table, ("path", "label")))
    if not rows:
        raise BenchmarkError(f"{table}: lists no clips")
    columns = rows[0][1].keys() & {"fold", "split"}
    if len(columns) != 1:
        raise BenchmarkError(f"{table}: needs a column 'fold' or a column 'split', but not both")
    named = [[label.strip() for label in row["label"].split("|") if label.strip()] for _, row in rows]
    classes = tuple(sorted({label for labels in named for label in labels}))
    numbers = {label: number for number, label in enumerate(classes)}
    clips: dict[str, Clip] = {}
    for (place, row), labels in zip(rows, named, strict=True):
        path = PurePosixPath(row["path"])
        if path.is_absolute() or ".." in path.parts:
            raise BenchmarkError(f"{place}: '{row['path']}' is outside the folder")
        if str(path) in clips:
            raise BenchmarkError(f"{place}: {path} is listed twice")
        fold = one_of(place, "fold", row["fold"], range(1, MAX_FOLDS)) if "fold" in row else None
        split = next((name for name in SPLITS if name == row.get("split")), None)
        if fold is None and split is None:
            raise BenchmarkError(f"{place}: split '{row['split']}' is not one of {', '.join(SPLITS)}")
        indices = tuple(sorted({numbers[label] for label in labels}))
        clips[str(path)] = Clip.at(
            folder, str(path), indices, fold=fold, split=split, place=place, group=row.get("group", "")
        )
    return [clips[path] for path in sorted(clips)], classes
