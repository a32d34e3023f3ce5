"""Compute the floors of a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api import folders
from benchmark.api.arguments import checked
from benchmark.console import say, stderr_console
from benchmark.errors import MissingInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from benchmark.data.manifest import Manifest
    from benchmark.records.floor import Floor
    from benchmark.spec.request import TrialRequest


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
        data_root: as for `run`; audio that the results folder generated is found there.
        cache: as for `run`.
        console: where progress is shown; None for stderr.

    Returns:
        All floors of the folder.

    Raises:
        BenchmarkError: not a results folder, or no dataset is there. One of several that is not there is reported.

    Example:
        >>> benchmark.floor("OUT", data_root="DATA")[0].scores
    """
    from benchmark.records.floor import read_floors
    from benchmark.records.store import ResultStore
    from benchmark.tools.floor import fill_floors

    store = ResultStore(Path(results))
    store.require()
    console = console or stderr_console()
    synthetic = store.folder / "synthetic"
    roots = {folders.data_root(data_root): None, **({synthetic: synthetic} if synthetic.is_dir() else {})}
    by_name: dict[str, list[TrialRequest]] = {}
    for request in store.submitted():
        if request.dataset.manifest:
            by_name.setdefault(request.dataset.name, []).append(request)
    missing = []
    for name, requests in by_name.items():
        found, reasons = _manifests(name, roots, str(store.folder))
        used = {request.dataset.manifest for request in requests}
        root = next((root for root, manifest in found.items() if manifest.digest in used), next(iter(found), None))
        if root is None:
            missing += reasons
        else:
            fill_floors(requests, {name: found[root]}, folders.cache_folder(cache, roots[root]), store.folder, console)
    if len(missing) == len(by_name) and missing:
        raise MissingInputError(missing[0])
    for line in missing:
        say(console, f"missing input: {line}")
    return list(read_floors(store.folder).values())


def _manifests(name: str, roots: Iterable[Path], origin: str) -> tuple[dict[Path, Manifest], list[str]]:
    """Return the clips of a dataset by the folder that has it; if none has, what is missing in the first."""
    from benchmark.data.registry import get_dataset

    found, missing = dict[Path, "Manifest"](), list[str]()
    for root in roots:
        try:
            found[root] = get_dataset(name, origin).manifest(root)
        except MissingInputError as error:
            missing.append(str(error))
    return found, missing[:1]
