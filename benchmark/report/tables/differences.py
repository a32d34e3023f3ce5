"""The table of differences between methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from benchmark.report.aggregate import GROUP
from benchmark.report.full_rows import FULL
from benchmark.report.inference import holm
from benchmark.report.render import Table
from benchmark.report.results import Results
from benchmark.report.tables import TableSource
from benchmark.units import plural

COLUMNS = [
    *GROUP, "method", "other", "difference", "low", "high", "p", "p_holm", "comparisons",
    "clips", "groups", "seeds", "marks",
]  # fmt: skip

INTERVAL = "95 % interval (this comparison alone)"
P = "p (Holm, n comparisons)"
EQUAL = "equal on every clip"


def build(source: TableSource) -> Table | None:
    """Return the table; None if no pair is complete."""
    data, reasons = difference_rows(source.results, source.entry.pairs, source.against)
    if data.empty:
        return None
    text = difference_text(source.results.names.named(data))
    return source.table(data, text, f"Not compared: {'; '.join(reasons)}." if reasons else "")


def difference_rows(
    results: Results, pairs: Sequence[tuple[str, str]], against: str | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per complete pair, with the columns `COLUMNS`, and why other pairs cannot be compared.

    Every method is compared with full fine-tuning and with `against`. `difference` is the score of `method` minus that
    of `other`, in points. `p_holm` is corrected for the `comparisons` rows with the same `other`.

    Args:
        results: the results folder.
        pairs: more methods to compare.
        against: a method with which all are compared.
    """
    rows: list[dict[str, Any]] = []
    reasons: dict[str, None] = {}
    for key, cells in results.cells.groupby(GROUP, sort=False):
        group = dict(zip(GROUP, key, strict=True))
        complete = cells[cells["score"].notna()]
        compared: dict[str, list[dict[str, Any]]] = {}
        for first, second in _pairs(complete, pairs, against):
            if reason := results.obstacle(first, second):
                place = results.names.task(group["backbone"], group["dataset"])
                reasons[f"{reason} ({place})"] = None
            else:
                compared.setdefault(second["method"], []).append({**group, **_row(results, first, second)})
        for family in compared.values():
            corrected = holm([row["p"] for row in family])
            rows += [{**row, "p_holm": p, "comparisons": len(family)} for row, p in zip(family, corrected, strict=True)]
    return pd.DataFrame(rows, columns=COLUMNS), list(reasons)


def _row(results: Results, first: pd.Series, second: pd.Series) -> dict[str, Any]:
    difference = results.difference(first, second)
    assert difference is not None
    low, high = difference.interval()
    marks = dict.fromkeys([*first["marks"].split("; "), *second["marks"].split("; ")])
    return {
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


def _pairs(
    cells: pd.DataFrame, pairs: Sequence[tuple[str, str]], against: str | None
) -> Iterator[tuple[pd.Series, pd.Series]]:
    """Yield cells to compare that have the same settings."""
    names = cells["method"].unique()
    wanted = [(method, FULL) for method in names if method != FULL]
    wanted += [(method, against) for method in names if against not in {None, FULL, method}]
    for method, other in dict.fromkeys([*wanted, *map(tuple, pairs)]):
        for _, first in cells[cells["method"] == method].iterrows():
            for _, second in cells[cells["method"] == other].iterrows():
                if first["settings"] == second["settings"]:
                    yield first, second


def difference_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return differences, their interval, corrected p values, and the number of clips and seeds."""
    rows = table.to_dict("records")
    text = table[[*GROUP, "method", "other"]].copy()
    text["points"] = [f"{row['difference']:+.1f}" for row in rows]
    text[INTERVAL] = [_interval(row["low"], row["high"]) for row in rows]
    text[P] = [f"{row['p_holm']:.2g} ({row['comparisons']})" for row in rows]
    text["over"] = [f"{plural(row['clips'], 'clip')} x {plural(row['seeds'], 'seed')}" for row in rows]
    return text


def _interval(low: float, high: float) -> str:
    """Return the interval; two methods with one score on every clip have none that says anything."""
    return EQUAL if low == high == 0 else f"[{low:+.1f}, {high:+.1f}]"
