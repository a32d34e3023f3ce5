"""The table of trainable parameters."""

from __future__ import annotations

import pandas as pd

from benchmark.report.render import Table
from benchmark.report.tables import TableSource

COLUMNS = ["trainable", "total", "trainable_reference", "total_reference", "unused_heads"]


def build(source: TableSource) -> Table | None:
    """Return the table; None without a record."""
    return source.value_table(parameters_text, COLUMNS)


def parameters_text(cell: pd.Series) -> str:
    """Return `3.590 (4.0)`: millions, and the share of the adapted model in per cent."""
    if pd.isna(cell["trainable"]):
        return ""
    counted = "_reference" if cell["unused_heads"] == "yes" else ""
    trainable, total = cell[f"trainable{counted}"], cell[f"total{counted}"]
    return f"{trainable / 1e6:.3f} ({100 * trainable / total:.1f})"
