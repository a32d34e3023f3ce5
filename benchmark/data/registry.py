"""Find datasets by name: modules of `benchmark/data/datasets/` that define `DATASET`, and `folder:NAME`.

Installed packages can add datasets by entry points of the group `aat_benchmark.datasets`, each a `Dataset`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from pathlib import Path

from benchmark.data import datasets as folder
from benchmark.data.dataset import Dataset
from benchmark.data.datasets.folder import PREFIX, Folder
from benchmark.errors import BenchmarkError, closest
from benchmark.plugins import load_installed


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


def get_dataset(name: str, where: str = "dataset") -> Dataset:
    """Return the dataset of a name; `folder:NAME` is a folder of the user.

    Raises:
        BenchmarkError: unknown name; the message begins with `where`.
    """
    if name.startswith(PREFIX):
        return Folder(name.removeprefix(PREFIX))
    known = datasets()
    if name not in known:
        raise BenchmarkError(f"{where}: unknown dataset '{name}'{closest(name, known)}")
    return known[name]


def available(data_root: Path) -> list[str]:
    """Return the names of the datasets whose folder exists under a data root."""
    return [
        name
        for name, dataset in datasets().items()
        if any((data_root / folder).is_dir() for folder in dataset.info.folders)
    ]
