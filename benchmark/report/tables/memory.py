"""The table of GPU memory."""

from __future__ import annotations

import pandas as pd

from benchmark.report.render import Table, ratio_text
from benchmark.report.tables import TableSource

COLUMNS = ["gpu_allocated_bytes", "gpu_reserved_bytes", "memory_ratio", "memory_full", "device"]


def build(source: TableSource) -> Table | None:
    """Return the table; None if no trial measured GPU memory on a device of its own."""
    return source.value_table(memory_text, COLUMNS, "memory_full")


def memory_text(cell: pd.Series) -> str:
    """Return `5120 (0.55)`: MB, and the ratio to full fine-tuning."""
    if pd.isna(cell["gpu_allocated_bytes"]):
        return ""
    return f"{cell['gpu_allocated_bytes'] / 1e6:.0f}{ratio_text(cell['memory_ratio'])}"
