"""Find datasets by name: modules of `benchmark/data/datasets/` that define `DATASET`, and those named by a prefix.

Installed packages can add datasets by entry points of the group `aat_benchmark.datasets`, each a `Dataset`.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import pkgutil
from collections.abc import Sequence
from pathlib import Path

from benchmark.data import datasets as folder
from benchmark.data.dataset import Dataset
from benchmark.data.datasets.folder import PREFIX, is_folder_name
from benchmark.data.datasets.own_table import TABLE
from benchmark.data.metadata_files import folder_names
from benchmark.data.sources import PREFIXES, named_by_prefix, names_below
from benchmark.data.unused import SUFFIXES, files_below
from benchmark.errors import BenchmarkError, closest
from benchmark.plugins import load_installed

SEARCHED = 1000  # files of a folder in which audio is looked for


@functools.cache
def datasets() -> dict[str, Dataset]:
    """Return all datasets by name, sorted."""
    modules = (importlib.import_module(f"{folder.__name__}.{m.name}") for m in pkgutil.iter_modules(folder.__path__))
    own: list[Dataset] = [module.DATASET for module in modules if hasattr(module, "DATASET")]
    found = {dataset.info.name: dataset for dataset in own}

    def accept(_: str, dataset: object) -> None:
        if not isinstance(dataset, Dataset):
            raise TypeError("it is not a benchmark.data.dataset.Dataset")
        if dataset.info.name in found:
            raise ValueError(f"there is already a dataset '{dataset.info.name}'")
        found[dataset.info.name] = dataset

    load_installed("datasets", accept)
    return dict(sorted(found.items()))


def get_dataset(name: str, where: str = "dataset", data_root: Path | None = None) -> Dataset:
    """Return the dataset of a name; a prefix such as `folder:` says where it comes from.

    Args:
        name: of the dataset.
        where: beginning of the message of an error.
        data_root: to suggest a folder of this name in it.

    Raises:
        BenchmarkError: unknown name.
    """
    if (dataset := named_by_prefix(name)) is not None:
        return dataset
    known = datasets()
    if name not in known and data_root is not None and name and (data_root / name).is_dir():
        raise BenchmarkError(f"{where}: unknown dataset '{name}' (did you mean '{PREFIX}{name}'?)")
    if name not in known:
        sources = ", ".join(f"{prefix}NAME" for prefix in PREFIXES)
        raise BenchmarkError(f"{where}: unknown dataset '{name}'{closest(name.lower(), known)}; others: {sources}")
    return known[name]


def available(data_root: Path) -> list[str]:
    """Return the names of the datasets whose folder exists under a data root."""
    return list(_found(data_root))


def own_names(data_root: Path) -> list[str]:
    """Return the names of the other datasets under a data root: `hear:TASK`, `xares:TASK`, `hf:REPO`, `folder:NAME`.

    Any other folder that has a table or audio is a `folder:NAME`.
    """
    if not data_root.is_dir():
        return []
    named = names_below(data_root)
    return [*filter(None, named.values()), *_own_folders(data_root, [*_found(data_root).values(), *named])]


def _own_folders(data_root: Path, others: Sequence[Path]) -> list[str]:
    """Return the names of the folders with a table or audio that hold none of the other datasets."""
    taken = {place.relative_to(data_root).parts[:1] for place in others}
    if () in taken:  # the data root itself is a dataset
        return []
    names = [name for name in folder_names(data_root) if (name,) not in taken and is_folder_name(name)]
    return [f"{PREFIX}{name}" for name in names if _has_audio(data_root / name)]


def _found(data_root: Path) -> dict[str, Path]:
    return {name: place for name, dataset in datasets().items() if (place := dataset.locate(data_root))}


def _has_audio(place: Path) -> bool:
    if (place / TABLE).is_file():
        return True
    some = itertools.islice(files_below(place), SEARCHED)
    return any(path.lower().endswith(SUFFIXES) for path in some)
