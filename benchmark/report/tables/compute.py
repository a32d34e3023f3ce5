"""The table of counted operations and activations."""

from __future__ import annotations

import pandas as pd

from benchmark.records.frame import COUNTED
from benchmark.report.render import Table
from benchmark.report.tables import TableSource


def build(source: TableSource) -> Table | None:
    """Return the table; None if no record has counted costs."""
    return source.value_table(compute_text, COUNTED)


def compute_text(cell: pd.Series) -> str:
    """Return `245.60 (5802)`: GFLOPs per clip, and MB kept for the backward pass of a batch."""
    if pd.isna(cell["train_flops"]):
        return ""
    return f"{cell['train_flops'] / 1e9:.2f} ({cell['saved_bytes'] / 1e6:.0f})"
