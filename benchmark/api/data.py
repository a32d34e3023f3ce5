"""Check, measure and generate datasets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.api.arguments import checked
from benchmark.api.folders import cache_folder
from benchmark.api.folders import data_root as data_root_folder
from benchmark.api.prepare import PreparedDataset
from benchmark.commands import command
from benchmark.console import counting, stderr_console
from benchmark.errors import BenchmarkError, MissingInputError

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.data.dataset import Dataset
    from benchmark.tools.data.verify import Verification


@dataclass(frozen=True)
class DatasetState:
    """What is under the data root of one dataset.

    Attributes:
        label: name of the dataset in tables.
        state: `complete`, `partial` or `synthetic`; `missing`; `wrong` if the folder does not follow the layout.
        clips: number of clips.
        official: number of clips of the published dataset.
        where: the folder, or what to do.
    """

    label: str
    state: Literal["complete", "partial", "synthetic", "missing", "wrong"]
    clips: int
    official: int
    where: str


@checked
def list_datasets(data_root: str | Path | None = None) -> dict[str, DatasetState]:
    """Return every dataset and what is under the data root; also own audio, HEAR tasks and unpacked datasets there.

    No audio is read.

    Args:
        data_root: as for `run`.

    Raises:
        BenchmarkError: `data_root` is no path.

    Example:
        >>> list_datasets("DIR")["esc50"].state
    """
    from benchmark.data.registry import datasets, get_dataset, own_names

    root = data_root_folder(data_root)
    own = {name: get_dataset(name) for name in own_names(root)}
    return {name: _state(dataset, root) for name, dataset in {**datasets(), **own}.items()}


def _state(dataset: Dataset, data_root: Path) -> DatasetState:
    label, official = dataset.info.label, dataset.info.clips
    try:
        manifest = dataset.manifest(data_root)
    except MissingInputError:
        get = command("data", "prepare", dataset.info.name, "--data-root", data_root)
        return DatasetState(label, "missing", 0, official, f"get it with `{get}`")
    except BenchmarkError as error:
        return DatasetState(label, "wrong", 0, official, str(error))
    return DatasetState(label, manifest.kind, len(manifest.clips), manifest.info.clips, str(manifest.folder))


@checked
def verify_data(name: str, data_root: str | Path | None = None, *, console: Console | None = None) -> Verification:
    """Read and decode every file of a dataset, and compare counts and digests with the publisher's.

    Records of later trials on the same, unchanged files hold the verdict.

    Args:
        name: a dataset, or `folder:NAME`, `hear:TASK`, `xares:TASK`, `hf:REPO`.
        data_root: as for `run`.
        console: where progress is shown; None for stderr, `Console(quiet=True)` for silence.

    Raises:
        BenchmarkError: the dataset is missing or does not follow its layout.

    Example:
        >>> verify_data("esc50", "DIR").problems
    """
    from benchmark.api.folders import verdict_folder
    from benchmark.data.registry import get_dataset
    from benchmark.records.environment import utc_now
    from benchmark.records.schema import Verified
    from benchmark.records.verdicts import keep
    from benchmark.tools.data.verify import verify

    root = data_root_folder(data_root)
    dataset = get_dataset(name, data_root=root)
    state = dataset.manifest(root).state
    with counting(console or stderr_console()) as progress:
        found = verify(dataset, root, progress)
    verdict = Verified(verdict=found.verdict, digest=found.digest, checked=utc_now(), problems=len(found.problems))
    keep(verdict_folder(), state, verdict)
    return found


@checked
def data_statistics(
    name: str,
    data_root: str | Path | None = None,
    *,
    folds: str | Iterable[str] = (),
    cache: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Measure mean and standard deviation of the training clips' filter banks, with those of the recipe.

    Args:
        name: a dataset, or `folder:NAME`, `hear:TASK`, `xares:TASK`, `hf:REPO`.
        data_root: as for `run`.
        folds: test folds whose training clips are measured, such as `1,2`; empty for all that have clips.
        cache: as for `run`.
        console: where progress is shown; None for stderr, `Console(quiet=True)` for silence.

    Raises:
        BenchmarkError: the dataset is missing, or has no such fold.

    Example:
        >>> data_statistics("esc50", "DIR", folds="1")["training clips of fold"]
    """
    from benchmark.data.registry import get_dataset
    from benchmark.spec.grammar import split_list
    from benchmark.spec.grid import whole_number
    from benchmark.tools.data.measure import level_statistics

    numbers = [whole_number(text, "folds") for text in split_list([folds] if isinstance(folds, str) else folds)]
    root = data_root_folder(data_root)
    dataset = get_dataset(name, data_root=root)
    with counting(console or stderr_console()) as progress:
        manifest = dataset.manifest(root)
        return level_statistics(dataset, manifest, cache_folder(cache), tuple(numbers), progress)


@checked
def describe_data(name: str, data_root: str | Path | None = None, *, console: Console | None = None) -> dict[str, Any]:
    """Return a dataset's info; for the copy under the data root, clips by class and split, lengths and formats.

    Args:
        name: a dataset, or `folder:NAME`, `hear:TASK`, `xares:TASK`, `hf:REPO`.
        data_root: as for `run`.
        console: where progress is shown; None for stderr, `Console(quiet=True)` for silence.

    Returns:
        The fields of the dataset's info, and `here`: a mapping about the copy, or a text if there is none.

    Raises:
        BenchmarkError: an unknown dataset, or a folder that does not follow the layout.

    Example:
        >>> describe_data("openmic", "DIR")["here"]
    """
    from benchmark.data.registry import get_dataset
    from benchmark.tools.data.measure import describe

    with counting(console or stderr_console()) as progress:
        root = data_root_folder(data_root)
        return describe(get_dataset(name, data_root=root), root, progress)


@checked
def synthesize_data(
    name: str,
    clips_per_class: int,
    data_root: str | Path | None = None,
    *,
    classes: int | None = None,
    seed: int = 0,
    seconds: float | None = None,
    console: Console | None = None,
) -> PreparedDataset:
    """Write generated audio in a dataset's official layout and formats; results on it are marked as synthetic.

    Args:
        name: a dataset, or `pretraining`: audio for `pretrain`, which shares no class with the datasets.
        clips_per_class: clips of each class in every fold or split.
        data_root: as for `run`.
        classes: use only the first classes, this many; None for all.
        seed: seed of the audio.
        seconds: length of a clip; None for the dataset's own.
        console: where progress is shown; None for stderr, `Console(quiet=True)` for silence.

    Raises:
        BenchmarkError: an unknown dataset, one that cannot be synthesized, or a folder of real audio in its place.

    Example:
        >>> synthesize_data("gtzan", 2, "DIR", classes=3)
    """
    from benchmark.data.dataset import Synthesizable
    from benchmark.data.datasets.corpus import CORPUS
    from benchmark.data.registry import get_dataset

    root = data_root_folder(data_root)
    dataset = CORPUS if name == CORPUS.info.name else get_dataset(name)
    if not isinstance(dataset, Synthesizable):
        raise BenchmarkError(f"{name} cannot be synthesized")
    with counting(console or stderr_console()) as progress:
        folder = dataset.synthesize(
            root, classes=classes, clips_per_class=clips_per_class, seed=seed, seconds=seconds, progress=progress
        )
    return PreparedDataset(folder, len(dataset.manifest(root).clips), dataset.info.clips, [])
