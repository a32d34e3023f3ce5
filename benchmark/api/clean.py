"""Remove the files that no record needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.arguments import checked

if TYPE_CHECKING:
    from benchmark.records.leftovers import Leftover


@checked
def clean(results: str | Path, *, dry_run: bool = False) -> list[Leftover]:
    """Remove resume states and failed attempts of finished trials, and leftovers of killed processes.

    Records, predictions, kept weights, and resume states of unfinished trials stay.

    Args:
        results: results folder.
        dry_run: only return what would be removed.

    Returns:
        The files and folders, their sizes in bytes and the reasons.

    Raises:
        BenchmarkError: not a results folder, or trials are running in it.

    Example:
        >>> sum(leftover.size for leftover in clean("OUT", dry_run=True))
    """
    from benchmark.records.leftovers import find_leftovers
    from benchmark.records.store import ResultStore

    leftovers = find_leftovers(ResultStore(Path(results)))
    if not dry_run:
        for leftover in leftovers:
            leftover.remove()
    return leftovers
