"""Find the folder of a dataset and its metadata, in the layouts in which people have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmark.commands import command
from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.metadata_files import folder_names
from benchmark.errors import BenchmarkError, MissingInputError

SHOWN = 5  # folders that a message names
SEARCHED = 20  # folders in which a misplaced copy is looked for


def find_folders(info: DatasetInfo, data_root: Path, recognises: Callable[[Path], bool]) -> list[Path]:
    """Return the copies of a dataset under a data root; the first one is used.

    Folders with one of the dataset's names (in any case) that have its layout, or subfolders of them that have it. If
    there is none: the data root itself if it has the layout, or else a folder of that name, whatever is in it.

    Args:
        info: names of the folder.
        data_root: where it is looked for.
        recognises: whether a folder has the layout.
    """
    named = [place for name in info.folders if (place := _in_any_case(data_root, name))]
    fitting = [place for place in named if recognises(place)]
    fitting += [sub for place in named if place not in fitting for sub in _subfolders(place) if recognises(sub)]
    copies: dict[Path, Path] = {}
    for place in fitting:
        copies.setdefault(place.resolve(), place)
    if copies:
        return list(copies.values())
    if data_root.is_dir() and recognises(data_root.resolve()):
        return [data_root]
    return named[:1]


def missing_folder(info: DatasetInfo, data_root: Path, recognises: Callable[[Path], bool]) -> MissingInputError:
    """Return the error that a dataset has no folder under a data root: what is there instead, and what to do.

    Args:
        info: names of the folder.
        data_root: where it was looked for.
        recognises: whether a folder has the layout.
    """
    seen = _seen(info, data_root, recognises)
    return MissingInputError(f"{info.label}: no folder {data_root / info.folders[0]} ({seen}); {info.by_hand}")


def _in_any_case(data_root: Path, name: str) -> Path | None:
    """Return the folder of a name; if it does not exist, the one that differs only in case."""
    if (data_root / name).is_dir():
        return data_root / name
    alike = [found for found in _names(data_root) if found.casefold() == name.casefold()]
    return data_root / alike[0] if len(alike) == 1 else None


def _seen(info: DatasetInfo, data_root: Path, recognises: Callable[[Path], bool]) -> str:
    """Return what is under a data root instead of the dataset's folder, and what to move."""
    if not data_root.is_dir():
        how = (
            f"name the folder of your datasets with --data-root, or get one with `{command('data', 'prepare', 'NAME')}`"
        )
        return f"{data_root} is no folder; {how}"
    if info.archive and (packed := data_root / info.archive.file).is_file():
        unpack = command("data", "prepare", info.name, "--data-root", data_root, "--from", packed)
        return f"{packed.name} is there: unpack it with `{unpack}`"
    places = _subfolders(data_root)[:SEARCHED]
    places += [sub for place in places for sub in _subfolders(place)[:SEARCHED]]
    fitting = [place for place in places if recognises(place)]
    if fitting:
        return f"{fitting[0]} has its layout: rename it to {info.folders[0]}, or give it as --data-root"
    names = _names(data_root)
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"there are: {', '.join(names[:SHOWN])}{rest}" if names else f"{data_root} has no folders"


def _subfolders(place: Path) -> list[Path]:
    return [place / name for name in _names(place)]


def _names(place: Path) -> list[str]:
    try:
        return folder_names(place)
    except BenchmarkError:
        return []


def find_metadata(folder: Path, names: Sequence[str], info: DatasetInfo, what: str) -> Path:
    """Return a file of the publisher's metadata.

    Args:
        folder: the dataset's.
        names: possible paths of the file.
        info: for where it comes from.
        what: what the file is, for the message.

    Raises:
        BenchmarkError: it is not there.
    """
    if found := first_file(folder, names):
        return found
    source = f"it is part of {info.archive.file}: {info.by_hand}" if info.archive else info.by_hand
    raise BenchmarkError(f"{folder / names[0]}: cannot be read: no such file. This is {what}; {source}")


def first_file(folder: Path, names: Iterable[str]) -> Path | None:
    """Return the first of several files that exists."""
    return next((folder / name for name in names if (folder / name).is_file()), None)
