"""Datasets that are named by a prefix: `folder:NAME`, `hear:TASK`, `xares:TASK`, `hf:REPO`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmark.data.datasets.folder import PREFIX, Folder
from benchmark.data.datasets.hear import Hear, hear_names
from benchmark.data.datasets.hub import HubDataset, parse_hub
from benchmark.data.datasets.xares import Xares
from benchmark.data.measured_dataset import MeasuredDataset
from benchmark.data.metadata_files import folder_names
from benchmark.data.unpacked import TABLE, read_unpacked
from benchmark.errors import BenchmarkError

PREFIXES: dict[str, Callable[[str], MeasuredDataset]] = {
    PREFIX: Folder,
    Hear.PREFIX: Hear,
    Xares.PREFIX: Xares,
    HubDataset.PREFIX: lambda text: HubDataset(parse_hub(text)),
}
UNPACKED = ("hf", "xares")  # folders below a data root


def named_by_prefix(name: str) -> MeasuredDataset | None:
    """Return the dataset of a name with a prefix; None if it has none.

    Raises:
        BenchmarkError: what follows the prefix is not the name of a dataset.
    """
    for prefix, make in PREFIXES.items():
        if name.startswith(prefix):
            return make(name.removeprefix(prefix))
    return None


def names_below(data_root: Path) -> dict[Path, str]:
    """Return the HEAR tasks and the unpacked datasets below a data root: names by folder."""
    found = {place: f"{Hear.PREFIX}{name}" for place, name in hear_names(data_root).items()}
    for kind in UNPACKED:
        for name in folder_names(data_root / kind) if (data_root / kind).is_dir() else ():
            if ((place := data_root / kind / name) / TABLE).is_file():
                try:
                    found[place] = read_unpacked(place).name
                except BenchmarkError:
                    continue  # damaged: it has no name that could be listed
    return found
