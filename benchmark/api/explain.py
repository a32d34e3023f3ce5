"""Provenance of a table cell."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.api.arguments import checked


@checked
def explain(results: str | Path, names: str | Iterable[str]) -> list[dict[str, Any]]:
    """Return the records, folds, seeds, epochs, rule, protocol switches and environments of table cells.

    Args:
        results: results folder.
        names: id of a cell or of a trial, or names that choose cells, such as `["ast", "esc50", "aat_ms"]`.

    Returns:
        One mapping per cell, with plain values (the keys are those of `explain --json`): `cell`, `what`, `score`,
        `interval`, `floor`, `seed_sd`, `fold_sd`, `marks`, `reported_epoch`, `settings`, `method`, `recipe`,
        `backbone`, `data`, `protocol_switches`, `trials`, `missing`, `environments`. Scores are shares from 0 to 1;
        unknown is None.

    Raises:
        BenchmarkError: not a results folder, or no cell has these names.

    Example:
        >>> [cell] = benchmark.explain("OUT", ["ast", "esc50", "aat_ms"])
        >>> cell["trials"]
    """
    from benchmark.records.store import ResultStore
    from benchmark.report.explain import explain as explain_cell
    from benchmark.report.explain import find_cells
    from benchmark.report.write import read_results

    found = read_results(ResultStore(Path(results)))
    cells = find_cells(found, [names] if isinstance(names, str) else list(names))
    return [explain_cell(found, cell) for _, cell in cells.iterrows()]
