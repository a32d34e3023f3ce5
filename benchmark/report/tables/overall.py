"""The table of methods over all datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from benchmark.report.full_rows import FULL
from benchmark.report.overall import Bounded, Runs, all_runs, counterpart, improvement, interquartile_mean
from benchmark.report.render import INDEX, Table
from benchmark.report.tables import TableSource
from benchmark.units import plural

COLUMNS = [
    *INDEX, "datasets", "seeds", "mean", "iqm", "iqm_low", "iqm_high", "other", "improvement", "improvement_low",
    "improvement_high",
]  # fmt: skip


def build(source: TableSource) -> Table | None:
    """Return the table; None if no two methods are complete on the same two datasets."""
    others: list[str | None] = [FULL, *([source.against] if source.against not in {None, FULL} else [])]
    rows = [row for runs in all_runs(source.results) for row in _rows(runs, others)]
    data = pd.DataFrame(rows, columns=COLUMNS)
    if data.empty:
        return None
    labels = source.results.row_labels | {"": ""}
    named = source.results.names.named(data)
    return source.table(
        data, overall_text(named.assign(method=data["method"].map(labels), other=data["other"].map(labels)))
    )


def _rows(runs: Runs, others: list[str | None]) -> Iterator[dict[str, Any]]:
    """Yield a row per method and method to compare with; where that is not there, one row without comparison.

    Chosen settings are compared with the chosen setting of the other method, default settings with its default.
    """
    scored = runs.scores
    compared: list[str | None] = [
        wanted for wanted in others if wanted and any(counterpart(method, wanted) in scored for method in scored)
    ]
    for wanted in compared or [None]:
        for method, scores in scored.items():
            middle = interquartile_mean(scores)
            better = Bounded(None, None, None)
            other = counterpart(method, wanted) if wanted else None
            if other not in scored:
                other = None
            if other is not None and method != other:
                better = improvement(scores, scored[other])
            yield {
                **dict(zip(INDEX, (runs.protocol, runs.backbone, method), strict=True)),
                "datasets": " ".join(runs.datasets),
                "seeds": " ".join(map(str, runs.seeds)),
                "mean": scores.mean(),
                **dict(zip(("iqm", "iqm_low", "iqm_high"), (middle.value, middle.low, middle.high), strict=True)),
                "other": other or "",
                "improvement": better.value,
                "improvement_low": better.low,
                "improvement_high": better.high,
            }


def overall_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return means in per cent and probabilities, with their intervals."""
    rows = table.to_dict("records")
    text = table[[*INDEX, "other"]].copy()
    text["mean"] = [f"{100 * row['mean']:.1f}" for row in rows]
    text["interquartile mean"] = [_bounds(100, row, "iqm", ".1f") for row in rows]
    text["P(better than other)"] = [_bounds(1, row, "improvement", ".2f") for row in rows]
    text["over"] = [
        f"{plural(len(row['datasets'].split()), 'dataset')} x {plural(len(row['seeds'].split()), 'seed')}"
        for row in rows
    ]
    return text


def _bounds(scale: float, row: Mapping[Any, Any], name: str, form: str) -> str:
    """Return `91.2 [90.8, 91.5]`, without interval for one seed, or nothing if there is no value."""
    value, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    if pd.isna(value):
        return ""
    ends = f" [{scale * low:{form}}, {scale * high:{form}}]" if pd.notna(low) else ""
    return f"{scale * value:{form}}{ends}"
