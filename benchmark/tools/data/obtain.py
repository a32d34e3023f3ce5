"""Bring a dataset that `data prepare` measures to its folder: unpack what is not there yet."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmark.data.datasets.folder import Folder
from benchmark.data.datasets.hub import HubDataset
from benchmark.data.datasets.xares import Xares
from benchmark.data.measured_dataset import MeasuredDataset
from benchmark.errors import BenchmarkError


def obtain(dataset: MeasuredDataset, data_root: Path, source: str | None, console: Console) -> Path:
    """Return the folder of a dataset, which is unpacked unless it is there.

    Args:
        dataset: a user's own audio, a HEAR or X-ARES task, or a dataset of the hub.
        data_root: where its folder is or goes.
        source: archive, folder or address that it is unpacked from; None for the usual one.
        console: for progress.

    Raises:
        BenchmarkError: it cannot be unpacked, or `source` is given and nothing has to be unpacked.
    """
    name, place = dataset.info.name, dataset.locate(data_root)
    if source and isinstance(dataset, Folder):
        raise BenchmarkError(f"{name}: --from is for published datasets; your own audio is in its folder already")
    if source and isinstance(dataset, HubDataset):
        raise BenchmarkError(f"{name}: --from is for archives; a local folder is named as {dataset.PREFIX}./FOLDER")
    if source and place:
        raise BenchmarkError(f"{place}: exists already; remove it to unpack it again")
    if place and isinstance(dataset, HubDataset):
        from benchmark.tools.data.hub import check_revision

        check_revision(dataset, place)
    if place:
        return place
    if isinstance(dataset, HubDataset):
        from benchmark.tools.data.hub import unpack_hub

        return unpack_hub(dataset, data_root, console)
    if isinstance(dataset, Xares):
        from benchmark.tools.data.tars import unpack_tars

        return unpack_tars(dataset, data_root, source, console)
    if source:
        from benchmark.tools.data.prepare import prepare

        return prepare(dataset, data_root, source, console)
    return dataset.find(data_root)  # raises an error that says how to get it
