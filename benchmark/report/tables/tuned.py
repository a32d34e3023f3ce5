"""The table of tuned methods: of the settings that were tried of a method, the one that validation prefers."""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmark.report.aggregate import KEYS
from benchmark.report.render import INDEX
from benchmark.report.results import Results

TUNED = ["cell", *KEYS, "settings", "tried", "finished", "validation", "score", "low", "high", "marks"]


def tuned(results: Results) -> pd.DataFrame:
    """A row per protocol, backbone, dataset and method of which several settings were tried; columns as in `TUNED`.

    The setting with the best mean score on the validation clips is chosen, the first of equals; test scores have no
    part in it. A setting that diverged is never chosen. `finished` counts the settings of which every trial is there;
    while it is less than `tried`, nothing is chosen. Methods without validation scores have no row.
    """
    rows: list[dict[str, Any]] = []
    for key, cells in results.cells.groupby(KEYS, sort=False):
        known = cells[cells["validation"].notna()]
        if len(cells) == 1 or known.empty:
            continue
        finished = int((cells["done"] == cells["expected"]).sum())
        row: dict[str, Any] = {**dict(zip(KEYS, key, strict=True)), "tried": len(cells), "finished": finished}
        if finished == len(cells):
            best = known.sort_values("validation", ascending=False, kind="stable").iloc[0]
            row |= {name: best[name] for name in TUNED if name not in row}
        rows.append(row)
    return pd.DataFrame(rows, columns=TUNED)


def tuned_text(table: pd.DataFrame) -> pd.DataFrame:
    """For people: `95.6 (lr=0.0005)`, or `3/5 settings` while trials are missing."""
    texts = [
        f"{row['finished']}/{row['tried']} settings"
        if pd.isna(row["score"])
        else f"{100 * row['score']:.1f} ({row['settings']})"
        for row in table.to_dict("records")
    ]
    wide = table.assign(text=texts).pivot_table(
        index=INDEX, columns="dataset", values="text", aggfunc="first", sort=False
    )
    return wide.fillna("").reset_index().rename_axis(columns=None)
