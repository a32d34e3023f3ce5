"""Compute the floors of a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api import folders
from benchmark.api.arguments import checked
from benchmark.console import stderr_console

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.records.floor import Floor


@checked
def floor(
    results: str | Path,
    *,
    data_root: str | Path | None = None,
    cache: str | Path | None = None,
    console: Console | None = None,
) -> list[Floor]:
    """Compute what every method should beat: chance, the majority class, and a regression on log-mel statistics.

    `run` does this before its report. Here it is done for the trials of a results folder without one, such as an older
    one. A floor that is there already is not computed again. The report shows floors as rows and lines of their own.

    Args:
        results: results folder.
        data_root: as for `run`; not read for a folder that generated its audio.
        cache: as for `run`.
        console: where progress is shown; None for stderr.

    Returns:
        All floors of the folder.

    Raises:
        BenchmarkError: not a results folder, or the data is not there.

    Example:
        >>> benchmark.floor("OUT", data_root="DATA")[0].scores
    """
    from benchmark.data.registry import get_dataset
    from benchmark.orchestrator.floors import fill_floors
    from benchmark.records.floor import read_floors
    from benchmark.records.store import ResultStore

    store = ResultStore(Path(results))
    store.require()
    requests = [request for request in store.submitted() if request.dataset.manifest]
    synthetic = store.folder / "synthetic"
    own = synthetic if synthetic.is_dir() else None
    root = own or folders.data_root(data_root)
    names = {request.dataset.name for request in requests}
    manifests = {name: get_dataset(name, str(store.folder)).manifest(root) for name in sorted(names)}
    fill_floors(requests, manifests, folders.cache_folder(cache, own), store.folder, console or stderr_console())
    return list(read_floors(store.folder).values())
