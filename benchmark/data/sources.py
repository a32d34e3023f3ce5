"""Datasets that are named by a prefix: `folder:NAME`, `hear:TASK`, `xares:TASK`, `hf:REPO`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmark.data.datasets.folder import PREFIX, Folder
from benchmark.data.datasets.hear import Hear, hear_names
from benchmark.data.datasets.hub import HubDataset, parse_hub
from benchmark.data.datasets.xares import Xares
from benchmark.data.measured_dataset import MeasuredDataset
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


def names_below(data_root: Path) -> dict[Path, str | None]:
    """Return the HEAR tasks and the unpacked datasets below a data root: names by folder, None for damaged ones."""
    found: dict[Path, str | None] = {place: f"{Hear.PREFIX}{name}" for place, name in hear_names(data_root).items()}
    for place in (table.parent for kind in UNPACKED for table in sorted((data_root / kind).glob(f"*/{TABLE}"))):
        try:
            found[place] = read_unpacked(place).name
        except BenchmarkError:
            found[place] = None
    return {place: name if name and _is_name(name) else None for place, name in found.items()}


def _is_name(name: str) -> bool:
    try:
        return named_by_prefix(name) is not None
    except BenchmarkError:
        return False
