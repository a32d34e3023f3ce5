"""The table of swept settings: of a method's settings in the grid, the one with the best validation score."""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmark.report.aggregate import KEYS
from benchmark.report.render import INDEX, Table
from benchmark.report.results import Results
from benchmark.report.tables import TableSource

COLUMNS = ["cell", *KEYS, "settings", "tried", "finished", "validation", "score", "low", "high", "marks"]


def build(source: TableSource) -> Table | None:
    """Return the table; None if no method was trained with several settings on a dataset with a validation split."""
    data = swept_rows(source.results)
    return None if data.empty else source.table(data, swept_text(source.results.names.named(data)))


def swept_rows(results: Results) -> pd.DataFrame:
    """Return one row per protocol, backbone, dataset and method with several settings, with the columns `COLUMNS`.

    The setting with the best mean validation score is chosen, the first of equals. Test scores are not used for the
    choice, and a diverged setting is never chosen. `finished` is the number of settings with all their trials; while it
    is smaller than `tried`, nothing is chosen. Methods without validation scores have no row, nor have those whose
    setting was chosen before, which are in the table `tuned`.
    """
    rows: list[dict[str, Any]] = []
    for key, cells in results.cells.groupby(KEYS, sort=False):
        validated = cells[cells["validation"].notna()]
        if len(cells) == 1 or validated.empty or set(cells["cell"]) <= results.tuned_cells:
            continue
        finished = int((cells["done"] == cells["expected"]).sum())
        row: dict[str, Any] = {**dict(zip(KEYS, key, strict=True)), "tried": len(cells), "finished": finished}
        if finished == len(cells):
            best = validated.sort_values("validation", ascending=False, kind="stable").iloc[0]
            row |= {name: best[name] for name in COLUMNS if name not in row}
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def swept_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return a column per dataset: `95.6 (lr=0.0005)`, or `3/5 settings` while trials are missing."""
    texts = [
        f"{row['finished']}/{row['tried']} settings"
        if pd.isna(row["score"])
        else f"{100 * row['score']:.1f} ({row['settings']})"
        for row in table.to_dict("records")
    ]
    by_dataset = table.assign(text=texts).pivot_table(
        index=INDEX, columns="dataset", values="text", aggfunc="first", sort=False
    )
    return by_dataset.fillna("").reset_index().rename_axis(columns=None)
