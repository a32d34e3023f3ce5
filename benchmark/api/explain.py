"""Provenance of a table cell."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.api.arguments import checked


@checked
def explain(results: str | Path, names: str | Iterable[str], *, classes: bool = False) -> list[dict[str, Any]]:
    """Return the records, folds, seeds, epochs, rule, protocol switches and environments of table cells.

    Args:
        results: results folder.
        names: id of a cell or of a trial, or names that choose cells, such as `["ast", "esc50", "aat_ms"]`.
        classes: also return the results by class, from the stored predictions.

    Returns:
        One mapping per cell, with plain values (the keys are those of `explain --json`): `cell`, `what`, `score`,
        `interval`, `compared`, `floor`, `seed_sd`, `fold_sd`, `marks`, `reported_epoch`, `settings`, `method`,
        `recipe`, `backbone`, `data`, `protocol_switches`, `trials`, `missing`, `environments`. Scores are shares from 0
        to 1, differences are in points; unknown is None.
        With `classes` also `by_class`: `classes` (each with `name`, `clips`, `support` and `values`), `summary`,
        `confusion`, `confused` and `calibration`; or only `missing`, the reason why there is none.

    Raises:
        BenchmarkError: not a results folder, or no cell has these names.

    Example:
        >>> [cell] = benchmark.explain("OUT", ["ast", "esc50", "aat_ms"])
        >>> cell["trials"]
    """
    from benchmark.records.store import ResultStore
    from benchmark.report.explain import explain as explain_cell
    from benchmark.report.explain import explain_classes, find_cells
    from benchmark.report.write import read_results

    found = read_results(ResultStore(Path(results)))
    cells = find_cells(found, [names] if isinstance(names, str) else list(names))
    return [
        {**explain_cell(found, cell), **({"by_class": explain_classes(found, cell)} if classes else {})}
        for _, cell in cells.iterrows()
    ]
