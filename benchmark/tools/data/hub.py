"""Read audio datasets with the library `datasets`: of the Hugging Face hub, or a local folder."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi, constants
from rich.console import Console

from benchmark.commands import install
from benchmark.console import counting
from benchmark.data.datasets.hub import HubChoice, HubDataset
from benchmark.data.unpacked import read_unpacked
from benchmark.errors import BenchmarkError
from benchmark.hub_errors import Asked, hub_errors, innermost
from benchmark.tools.data.hub_columns import Columns
from benchmark.tools.data.hub_splits import Part, choose_parts
from benchmark.tools.data.unpack import Origin, Recorded, unpack

if TYPE_CHECKING:
    import datasets

INSTALL = f"needs the library `datasets`: {install('hf')}"
COMMIT = re.compile("[0-9a-f]{40}")
SAVED = ("dataset_dict.json", "state.json")  # of `save_to_disk`


@dataclass(frozen=True)
class Loaded:
    """A repository or folder that was loaded.

    Attributes:
        splits: rows by the repository's split.
        place: absolute path or address.
        source: repository and commit; None for a local folder.
        folders: where files that rows name may be; None for anywhere.
    """

    splits: Mapping[str, datasets.Dataset]
    place: str
    source: str | None
    folders: tuple[Path, ...] | None


def unpack_hub(dataset: HubDataset, data_root: Path, console: Console) -> Path:
    """Unpack a repository of the hub, or a local folder that the library can read.

    Args:
        dataset: which one, and how.
        data_root: where the unpacked folder goes.
        console: for progress.

    Returns:
        The unpacked folder.

    Raises:
        BenchmarkError: there is no such repository, revision, column or split, the hub cannot be reached, or a row has
            no audio or no label.
    """
    choice = dataset.choice
    data_root.mkdir(parents=True, exist_ok=True)
    # the library copies what it reads from a local folder into its cache
    with tempfile.TemporaryDirectory(dir=data_root, prefix=".prepare-") as cache, _library(choice, console):
        loaded = _load_folder(choice, choice.folder, Path(cache)) if choice.folder else _load_repository(choice)
        columns = Columns.of(choice, next(iter(loaded.splits.values())).features, loaded.folders)
        parts, remarks = choose_parts(choice, loaded.splits, columns)
        total = sum(len(part.rows) for part in parts)
        origin = Origin(loaded.place, loaded.source, columns.classes, columns.multi_label, remarks)
        with counting(console) as show:

            def recordings() -> Iterator[Recorded]:
                number = 0
                for part in parts:
                    for recording in _recordings(choice, part, columns):
                        number += 1
                        show("unpacking", number, total)
                        if recording is not None:
                            yield recording
                columns.check_renamed(choice)

            return unpack(dataset, data_root, recordings(), origin)


def check_revision(dataset: HubDataset, place: Path) -> None:
    """Check that the revision of an unpacked folder is still the same commit; nothing is checked without the hub.

    Args:
        dataset: which one.
        place: the unpacked folder.

    Raises:
        BenchmarkError: the revision has moved, or the folder is of another local folder.
    """
    choice, table = dataset.choice, read_unpacked(place)
    if choice.folder is not None:
        if choice.folder.is_dir() and str(choice.folder.resolve()) != table.origin:
            raise BenchmarkError(f"{place}: was unpacked from {table.origin}; rename one of the folders, or remove it")
        return
    kept = (table.source or "").rpartition("@")[2]
    try:
        now = resolve_commit(choice)
    except BenchmarkError:
        return
    if now != kept:
        fixed = dataclasses.replace(choice, revision=kept).name
        raise BenchmarkError(
            f"{dataset.info.name}: the revision '{choice.revision or 'main'}' has moved: it is commit {now} now, and "
            f"{place} holds {kept}; name that commit ({fixed}), or remove the folder"
        )


def resolve_commit(choice: HubChoice) -> str:
    """Return the commit of a revision.

    Raises:
        BenchmarkError: there is no such repository or revision, or the hub cannot be reached.
    """
    if choice.revision and COMMIT.fullmatch(choice.revision):
        return choice.revision
    with _explained(choice):
        found = HfApi().dataset_info(choice.repo, revision=choice.revision, timeout=30)
    if not found.sha:
        raise BenchmarkError(f"{choice.name}: the hub names no commit of it")
    return str(found.sha)


@contextlib.contextmanager
def _library(choice: HubChoice, console: Console) -> Iterator[None]:
    """Import the library, hide its progress bars where nobody sees them, and let it read paths without torchcodec.

    The library imports torchcodec, which needs FFmpeg, wherever audio is encoded, though only arrays need it. Here
    audio is never an array: it is a path or bytes, which this suite's decoder reads.
    """
    try:
        import datasets
    except ImportError:
        raise BenchmarkError(f"{choice.name}: {INSTALL}") from None

    def encode(_: object, value: Any) -> dict[str, Any]:
        if isinstance(value, bytes | bytearray):
            return {"bytes": bytes(value), "path": None}
        if isinstance(value, Mapping):
            return {"bytes": value.get("bytes"), "path": value.get("path")}
        return {"bytes": None, "path": str(value)}

    original, were_hidden = datasets.Audio.encode_example, datasets.are_progress_bars_disabled()
    datasets.Audio.encode_example = encode
    if console.quiet or not console.is_terminal:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.Audio.encode_example = original
        if not were_hidden:
            datasets.enable_progress_bars()


def _load_folder(choice: HubChoice, folder: Path, cache: Path) -> Loaded:
    import datasets

    if not folder.is_dir():
        raise BenchmarkError(f"{choice.name}: no such folder: {folder}")
    folder = folder.resolve()  # a relative name may be that of a format, such as `parquet`
    with _explained(choice):
        if is_saved := any((folder / name).is_file() for name in SAVED):
            found = datasets.load_from_disk(str(folder))
        else:
            found = datasets.load_dataset(str(folder), name=choice.options.config, cache_dir=str(cache))
    splits = dict(found) if isinstance(found, datasets.DatasetDict) else {str(found.split or "train"): found}
    # `save_to_disk` stores where a user's own files are; all other formats hold them or have them beside
    return Loaded(splits, str(folder), None, None if is_saved else (folder, cache))


def _load_repository(choice: HubChoice) -> Loaded:
    import datasets

    commit = resolve_commit(choice)
    with _explained(choice):
        found = datasets.load_dataset(choice.repo, name=choice.options.config, revision=commit)
    place = f"https://huggingface.co/datasets/{choice.repo}"
    return Loaded(dict(found), place, f"{choice.repo}@{commit}", _cache_folders())


def _cache_folders() -> tuple[Path, ...]:
    """Return the folders into which the hub's libraries download and unpack files."""
    import datasets

    config = datasets.config
    places = (config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH, config.EXTRACTED_DATASETS_PATH)
    return tuple(map(Path, (*places, constants.HF_HUB_CACHE)))


@contextlib.contextmanager
def _explained(choice: HubChoice) -> Iterator[None]:
    """Turn the errors of the hub's libraries into one line."""
    as_folder = f"; the folder {choice.repo} is named ./{choice.repo}" if Path(choice.repo).is_dir() else ""
    asked = Asked(
        choice.name, choice.repo, choice.revision or "main", "dataset",
        if_unknown=as_folder, if_unreachable="; only a dataset that is unpacked already needs no network",
    )  # fmt: skip
    try:
        with hub_errors(asked):
            yield
    except BenchmarkError:
        raise
    except Exception as error:  # the libraries raise those of Arrow, of the file system, and their own
        raise BenchmarkError(f"{choice.name}: cannot be loaded: {innermost(error)}") from None


def _recordings(choice: HubChoice, part: Part, columns: Columns) -> Iterator[Recorded | None]:
    """Yield the recordings of a part; None for rows whose label is left out.

    Raises:
        BenchmarkError: a row has no audio or no label.
    """
    for number, row in enumerate(part.rows):
        place = f"{choice.name}: row {number} of {part.name}"
        labels = columns.labels(place, row)
        if labels is None:
            yield None
            continue
        name, content = columns.content(place, row)
        split, fold = part.unit(place, row)
        yield Recorded(
            f"{number:06d}-{name}" if name else f"{number:06d}", content, labels, split, fold, columns.group(row)
        )
