"""The table of differences between methods."""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmark.report.results import GROUP, Results
from benchmark.report.statistics import holm

DIFFERENCES = [*GROUP, "method", "other", "difference", "low", "high", "p", "p_holm", "clips", "seeds", "marks"]


def differences(results: Results, pairs: list[list[str]]) -> pd.DataFrame:
    """Score of one method less that of another, in points, for every complete pair; columns as in `DIFFERENCES`.

    `clips` is the number of clips, or for map of classes, that were compared.
    """
    rows: list[dict[str, Any]] = []
    for key, cells in results.cells.groupby(GROUP, sort=False):
        complete = cells[cells["score"].notna()]
        found: list[dict[str, Any]] = []
        for name, other in pairs:
            for _, one in complete[complete["method"] == name].iterrows():
                for _, two in complete[(complete["method"] == other)].iterrows():
                    gap = results.difference(one, two) if one["settings"] == two["settings"] else None
                    if gap is None:
                        continue
                    marks = list(dict.fromkeys([*one["marks"].split("; "), *two["marks"].split("; ")]))
                    found.append(
                        {
                            **dict(zip(GROUP, key, strict=True)),
                            "method": one["method"],
                            "other": two["method"],
                            "difference": 100 * gap.mean,
                            "low": 100 * gap.low,
                            "high": 100 * gap.high,
                            "p": gap.p,
                            "clips": gap.parts,
                            "seeds": gap.seeds,
                            "marks": "; ".join(filter(None, marks)),
                        }
                    )
        for row, corrected in zip(found, holm([row["p"] for row in found]), strict=True):
            rows.append({**row, "p_holm": corrected})
    return pd.DataFrame(rows, columns=DIFFERENCES)


def differences_text(table: pd.DataFrame) -> pd.DataFrame:
    """For people."""
    points = [f"{row['difference']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]" for row in table.to_dict("records")]
    text = table[[*GROUP, "method", "other"]].copy()
    text["points"] = points
    text["p"] = [f"{value:.2g}" for value in table["p_holm"]]
    text["over"] = [f"{row['clips']} x {row['seeds']}" for row in table.to_dict("records")]
    return text
