"""The table of differences between methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from benchmark.report.aggregate import GROUP
from benchmark.report.inference import holm
from benchmark.report.render import Table
from benchmark.report.results import Results
from benchmark.report.tables import TableSource

COLUMNS = [*GROUP, "method", "other", "difference", "low", "high", "p", "p_holm", "clips", "groups", "seeds", "marks"]


def build(source: TableSource) -> Table | None:
    """Return the table; None if no pair of the layout is complete."""
    data = difference_rows(source.results, source.entry.pairs)
    return None if data.empty else source.table(data, difference_text(data))


def difference_rows(results: Results, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return one row per complete pair, with the columns `COLUMNS`.

    `difference` is the score of `method` minus that of `other`, in points. `clips` is the number of compared clips, or
    of compared classes for map.

    Args:
        results: the results folder.
        pairs: methods to compare.
    """
    rows: list[dict[str, Any]] = []
    for key, cells in results.cells.groupby(GROUP, sort=False):
        group = dict(zip(GROUP, key, strict=True))
        compared = [{**group, **row} for row in _compare(results, cells[cells["score"].notna()], pairs)]
        corrected = holm([row["p"] for row in compared])
        rows += [{**row, "p_holm": p} for row, p in zip(compared, corrected, strict=True)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _compare(results: Results, cells: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield a row for every two complete cells of a pair that have the same settings."""
    for first, second in _pairs_of_cells(cells, pairs):
        difference = results.difference(first, second)
        if difference is None:
            continue
        low, high = difference.interval()
        marks = dict.fromkeys([*first["marks"].split("; "), *second["marks"].split("; ")])
        yield {
            "method": first["method"],
            "other": second["method"],
            "difference": 100 * difference.mean,
            "low": 100 * low,
            "high": 100 * high,
            "p": difference.p,
            "clips": difference.clips,
            "groups": difference.groups,
            "seeds": difference.seeds,
            "marks": "; ".join(filter(None, marks)),
        }


def _pairs_of_cells(cells: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[pd.Series, pd.Series]]:
    for method, other in pairs:
        for _, first in cells[cells["method"] == method].iterrows():
            for _, second in cells[cells["method"] == other].iterrows():
                if first["settings"] == second["settings"]:
                    yield first, second


def difference_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return differences with their interval, corrected p values, and the number of clips and seeds."""
    rows = table.to_dict("records")
    text = table[[*GROUP, "method", "other"]].copy()
    text["points"] = [f"{row['difference']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]" for row in rows]
    text["p"] = [f"{row['p_holm']:.2g}" for row in rows]
    text["over"] = [f"{row['clips']} x {row['seeds']}" for row in rows]
    return text
