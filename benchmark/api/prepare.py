"""Get datasets, and make a user's own audio ready for runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.arguments import checked
from benchmark.api.folders import cache_folder
from benchmark.api.folders import data_root as data_root_folder
from benchmark.console import counting, stderr_console
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.data.measured_dataset import MeasuredDataset


@dataclass(frozen=True)
class PreparedFolder:
    """The recipe that was measured for a user's own audio, or for a dataset of a public collection.

    Attributes:
        path: the recipe file that was written.
        remarks: clips that are left out or cut, files that are not used, classes without training or test clips.
        folds: folds of the dataset; empty if it has none.
        needs_skip: whether a run needs `on_bad_audio="skip"`, as files are bad or absent.
    """

    path: Path
    remarks: list[str]
    folds: tuple[int, ...]
    needs_skip: bool


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset that was downloaded and unpacked.

    Attributes:
        folder: the dataset's folder.
        clips: number of clips in it.
        official: number of clips of the published dataset.
        notes: files that are not used or not there, by reason.
    """

    folder: Path
    clips: int
    official: int
    notes: list[str]


@checked
def prepare_data(
    name: str,
    data_root: str | Path | None = None,
    *,
    source: str | None = None,
    columns: str | None = None,
    label_separator: str | None = None,
    group: str | None = None,
    cache: str | Path | None = None,
    console: Console | None = None,
) -> PreparedDataset | PreparedFolder:
    """Download and unpack a dataset; for one without a declared recipe, measure the values of its recipe.

    An interrupted download is continued. The dataset's folder appears only when it is complete.

    Args:
        name: a dataset, or `folder:NAME`, `hear:TASK`, `xares:TASK`, `hf:REPO`.
        data_root: as for `run`.
        source: an archive file that is already here (for `xares:TASK` also a folder of tars), or the address of a
            mirror; None for the publisher's address.
        columns: of the table of `folder:NAME`, such as `path=filename,label=category`; kept beside the table.
        label_separator: character between several labels of a clip in that table; kept beside the table.
        group: regular expression that finds the group of a clip of `folder:NAME` in its path, such as
            `REC_([0-9]+)_`: clips of one group are in one fold; kept in the folder.
        cache: as for `run`; audio that is measured is read through it.
        console: where progress is shown; None for stderr, `Console(quiet=True)` for silence.

    Raises:
        BenchmarkError: the dataset exists already, or cannot be downloaded; the message says what to do by hand.

    Example:
        >>> prepare_data("esc50", "DIR").folder
    """
    from benchmark.data.copy_notes import copy_notes
    from benchmark.data.datasets.folder import Folder
    from benchmark.data.measured_dataset import MeasuredDataset
    from benchmark.data.registry import get_dataset
    from benchmark.tools.data.obtain import obtain
    from benchmark.tools.data.prepare import prepare

    root, console = data_root_folder(data_root), console or stderr_console()
    dataset = get_dataset(name, data_root=root)
    if columns is not None or label_separator is not None or group is not None:
        if not isinstance(dataset, Folder):
            raise BenchmarkError(f"{name}: columns and groups are for your own audio, folder:NAME")
        dataset.choose_columns(root, columns or "", label_separator, group)
    if isinstance(dataset, MeasuredDataset):
        obtain(dataset, root, source, console)
        return _prepare_folder(dataset, root, cache_folder(cache), console)
    folder = prepare(dataset, root, source, console)
    manifest = dataset.manifest(root)
    return PreparedDataset(folder, len(manifest.clips), dataset.info.clips, copy_notes(dataset, manifest))


def _prepare_folder(dataset: MeasuredDataset, root: Path, cache: Path | None, console: Console) -> PreparedFolder:
    """Measure the audio of a folder, and collect what its user must know."""
    from benchmark.data.copy_notes import copy_notes
    from benchmark.tools.data.measure import LEFT_OUT, write_folder_recipe

    with counting(console) as progress:
        path, remarks = write_folder_recipe(dataset, root, cache, progress)
    manifest = dataset.manifest(root)
    needs_skip = bool(manifest.absent) or any(line.startswith(LEFT_OUT) for line in remarks)
    return PreparedFolder(path, [*remarks, *copy_notes(dataset, manifest)], tuple(manifest.info.folds), needs_skip)
