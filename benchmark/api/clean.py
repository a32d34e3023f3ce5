"""Remove the files that no record needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.arguments import checked

if TYPE_CHECKING:
    from benchmark.records.leftovers import Leftover


@checked
def clean(results: str | Path, *, predictions: bool = False, dry_run: bool = False) -> list[Leftover]:
    """Remove resume states and failed attempts of finished trials, and leftovers of killed processes.

    Records, predictions, kept weights, and resume states of unfinished trials stay.

    Args:
        results: results folder.
        predictions: also make predictions smaller: those of the reported epoch stay, in half precision where every
            metric stays exactly the same. Tables, claims, figures and `submit` need no others.
        dry_run: only return what would be removed.

    Returns:
        The files and folders, their sizes (of predictions: what is saved) in bytes and the reasons.

    Raises:
        BenchmarkError: not a results folder, or trials are running in it.

    Example:
        >>> sum(leftover.size for leftover in clean("OUT", dry_run=True))
    """
    from benchmark.records.leftovers import find_leftovers
    from benchmark.records.store import ResultStore
    from benchmark.submissions.shrink import find_large

    store = ResultStore(Path(results))
    leftovers = find_leftovers(store)
    if predictions:
        leftovers += find_large(store)
    if not dry_run:
        for leftover in leftovers:
            leftover.remove()
    return leftovers
