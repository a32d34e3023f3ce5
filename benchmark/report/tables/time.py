"""The table of training time."""

from __future__ import annotations

import pandas as pd

from benchmark.report.render import Table, ratio_text
from benchmark.report.tables import TableSource

COLUMNS = [
    "seconds_per_epoch", "time_ratio", "time_full", "clips_per_second", "data_seconds_per_epoch", "overhead",
    "shared", "device",
]  # fmt: skip


def build(source: TableSource) -> Table | None:
    """Return the table; None without a record."""
    return source.value_table(seconds_text, COLUMNS, "time_full")


def seconds_text(cell: pd.Series) -> str:
    """Return `1.80 (0.62)`: seconds, and the ratio to full fine-tuning; `*` marks a shared machine."""
    if pd.isna(cell["seconds_per_epoch"]):
        return ""
    return f"{cell['seconds_per_epoch']:.2f}{'*' if cell['shared'] else ''}{ratio_text(cell['time_ratio'])}"
