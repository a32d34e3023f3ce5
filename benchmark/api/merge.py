"""Join the results of several machines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.arguments import checked
from benchmark.api.folders import new_folder
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.records.merge import Merged


@checked
def merge(folders: str | Path | Iterable[str | Path], results: str | Path) -> Merged:
    """Join results folders: records with the files beside them, failed attempts, profiles and lists of trials.

    Where two folders have different results of a trial, the first record stays in the tables. The other is written
    under RESULTS/conflicts, and both are reported.

    Args:
        folders: results folders to join.
        results: results folder to join them into.

    Returns:
        How many records, attempts and profiles were added, and the differences.

    Raises:
        BenchmarkError: no folder, not a results folder, or the target itself is among the folders.

    Example:
        >>> benchmark.merge(["FROM_A", "FROM_B"], results="OUT")
    """
    from benchmark.records.merge import merge as join

    several = [Path(folder) for folder in ([folders] if isinstance(folders, str | Path) else folders)]
    if not several:
        raise BenchmarkError("folders: expected at least one results folder")
    return join(several, new_folder(Path(results)))
