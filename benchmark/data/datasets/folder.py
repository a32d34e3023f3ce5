"""Your own audio: `folder:NAME` is the folder NAME under the data root, with a table or with one folder per class."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import yaml

from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.datasets.own_table import (
    COLUMNS,
    TABLE,
    Columns,
    Table,
    alike,
    check_split_names,
    find_table,
    kept_columns,
    parse_columns,
    read_table,
    split_of,
)
from benchmark.data.groups import with_groups
from benchmark.data.manifest import Clip, Manifest, Split
from benchmark.data.measured_dataset import RECIPE, SPLITS, Listing, MeasuredDataset
from benchmark.data.metadata_files import file_names, folder_names
from benchmark.data.unused import SUFFIXES, Unused, files_below, find_unused, is_document
from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic

PREFIX = "folder:"
FOLDS = 5
SHOWN = 5  # files that a message names


class Folder(MeasuredDataset):
    """Read `NAME/clips.csv` with columns `path,label` and `fold` or `split`, or the files `NAME/[SPLIT/]CLASS/FILE`.

    Paths are relative to the folder. Several labels of a clip are separated by `|`. Classes are in alphabetical order.
    Other names of columns and splits are understood, see `own_table`.
    Without table and split folders, clips are assigned to five folds, stratified by class, by a digest of their path.
    Groups of clips (a column of the table, or a pattern that `data prepare --group` keeps) stay in one of five folds.

    Args:
        name: of the folder under the data root.

    Raises:
        BenchmarkError: the name has other characters than letters, digits, `_`, `-` and `.`.
    """

    def __init__(self, name: str) -> None:
        if not is_folder_name(name):
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

    def listing(self, folder: Path) -> Listing:
        """Read the table or the folders of classes; see `MeasuredDataset.listing`."""
        table = read_table(folder) if find_table(folder) else _read_class_folders(folder)
        if not table.clips:
            raise BenchmarkError(
                f"{folder}: has no audio files ({', '.join(SUFFIXES)}) in folders named after classes, and no table "
                f"{TABLE}{_seen(folder)}"
            )
        return Listing(table.clips, table.classes, table.remarks)

    def choose_columns(self, data_root: Path, text: str, separator: str | None, group: str | None = None) -> None:
        """Write the columns of the table and the pattern of groups into the folder, unless they do not fit it.

        Args:
            data_root: where the folder is.
            text: such as `path=filename,label=category`.
            separator: between several labels of a clip; None for the usual one.
            group: regular expression that finds a clip's group in its path; None for no pattern.

        Raises:
            BenchmarkError: there is no table, or the columns do not fit it, or the pattern does not fit the paths, or a
                recipe was measured with others.
        """
        place = self.find(data_root)
        if not (place / TABLE).is_file() and (text or separator is not None):
            raise BenchmarkError(f"{place / TABLE}: no such table; columns are for one")
        if (place / RECIPE).exists():
            raise BenchmarkError(f"{place / RECIPE}: was measured with other columns or groups; remove it first")
        kept = {"names": kept_columns(place).names, "group_pattern": group}
        chosen = parse_columns(text, separator).model_copy(update=kept)
        if find_table(place):
            read_table(place, chosen)
        else:
            _read_class_folders(place, chosen)
        values = chosen.model_dump(exclude_defaults=True)
        write_atomic(place / COLUMNS, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode())

    def misplaced(self, path: PurePosixPath) -> str:
        """Return why a file with the ending of audio is no clip."""
        return "not in a folder" if len(path.parts) == 1 else "not directly in the folder of a class"

    def unused(self, manifest: Manifest) -> list[Unused]:
        """Return the files of the folder that are not used, by reason; see `find_unused`."""
        if (manifest.folder / TABLE).is_file():
            return find_unused(manifest, self.left_out, lambda _: f"not listed in {TABLE}")
        return super().unused(manifest)


def is_folder_name(name: str) -> bool:
    """Return whether a folder of this name can be a dataset."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) is not None


def _read_class_folders(folder: Path, chosen: Columns | None = None) -> Table:
    """Read `[SPLIT/]CLASS/FILE`.

    Args:
        folder: of the user's audio.
        chosen: the pattern of groups; None for the one that is kept in the folder.

    Raises:
        BenchmarkError: folders of splits and of classes lie side by side, or a folder of a class has no audio, or
            groups cannot be assigned to folds.
    """
    aside = [name for name in folder_names(folder) if name.startswith("_") and _only_documents(folder / name)]
    names = [name for name in folder_names(folder) if name not in aside]
    splits = _split_folders(folder, names)
    remarks = [f"{name} has no audio and is no class" for name in aside] + check_split_names(str(folder), splits)
    remarks += [f"{name} has no folders of classes" for name in splits if not folder_names(folder / name)]
    remarks += [f"{name} is a class, not a split" for name in names if split_of(name) and not splits]
    places = [
        (place, label)
        for place in sorted(splits, key=lambda name: SPLITS.index(splits[name]))
        for label in folder_names(folder / place)
    ]
    if splits and not places:
        raise BenchmarkError(
            f"{folder}: the folders {' and '.join(splits)} have no folders of classes: SPLIT/CLASS/FILE"
        )
    listed = list(_files(folder, places if splits else [("", name) for name in names]))
    classes = tuple(sorted({label for _, label, _ in listed}))
    clips = [
        Clip.at(folder, path, (classes.index(label),), split=splits.get(place), place=str(folder))
        for path, label, place in listed
    ]
    if marked := [name for name in classes if name.startswith("_")]:
        remarks.append(f"{' and '.join(marked)} {'are classes' if marked[1:] else 'is a class'} as all other folders")
    pattern = (chosen or kept_columns(folder)).group_pattern
    if pattern is not None:
        clips, of_groups = with_groups(clips, classes, pattern, folder, deal=not splits)
        return Table(clips, classes, [*remarks, *of_groups, *alike(classes)])
    return Table(clips if splits else deal_folds(clips), classes, [*remarks, *alike(classes)])


def _split_folders(folder: Path, names: Sequence[str]) -> dict[str, Split]:
    """Return the folders of splits with the split of each; none if the folders are classes.

    A folder with the name of a split is a class if others are and it has audio directly inside, as theirs: `train`
    beside `bus` and `tram`; not if there are several, unless by less usual names.

    Raises:
        BenchmarkError: two folders stand for one split, or a folder is not a split although others are.
    """
    found = {name: split for name in names if (split := split_of(name))}
    others = [name for name in names if name not in found and not name.startswith("_")]
    plain = all(file_names(folder / name, SUFFIXES) for name in found)
    if others and plain and (len(found) == 1 or not found.keys() & set(SPLITS)):
        return {}
    if found and others:
        raise BenchmarkError(
            f"{folder}: has folders of splits ({', '.join(found)}), but the folder '{others[0]}' is not a split"
        )
    for split in SPLITS:
        if len(twice := [name for name in found if found[name] == split]) > 1:
            raise BenchmarkError(
                f"{folder}: the folders {' and '.join(twice)} are both {split} clips: merge them, or move one away"
            )
    return found


def _seen(folder: Path) -> str:
    """Return the files that lie in a folder, for a message."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"; there are the files {', '.join(names[:SHOWN])}{rest}" if names else ""


def _only_documents(folder: Path) -> bool:
    """Return whether a folder has files, but none that may hold audio: it is no class."""
    path = ""
    for path in files_below(folder):
        if not is_document(PurePosixPath(path)):
            return False
    return path != ""


def _files(folder: Path, places: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Yield path, class and folder of the split of every audio file.

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


def deal_folds(clips: Sequence[Clip]) -> list[Clip]:
    """Assign clips to folds, stratified by class."""
    order = sorted(clips, key=lambda clip: (clip.labels, hashlib.sha1(clip.path.encode()).digest()))
    folds = {clip.path: number % FOLDS + 1 for number, clip in enumerate(order)}
    return [replace(clip, fold=folds[clip.path]) for clip in clips]
