"""The table of profiled training steps."""

from __future__ import annotations

import pandas as pd

from benchmark.report.render import Table
from benchmark.report.tables import TableSource


def build(source: TableSource) -> Table | None:
    """Return the table; None without a profile."""
    steps = source.results.steps
    return None if steps.empty else source.table(steps, steps_text(source.results.names.named(steps)))


def steps_text(steps: pd.DataFrame) -> pd.DataFrame:
    """Return milliseconds, MB and GFLOPs of each step, and time per clip and memory as ratios to full fine-tuning."""
    rows = steps.to_dict("records")
    text = steps[["backbone", "device", "threads", "size", "dataset", "method", "clips"]].copy()
    text["ms/step"] = [_number(row["step_seconds"], 1e3) for row in rows]
    text["time per clip : full"] = [_number(row["time_ratio"], digits=2) for row in rows]
    text["clips/s"] = [_number(row["clips_per_second"]) for row in rows]
    text["peak MB"] = [_number(row["gpu_allocated_bytes"], 1e-6) for row in rows]
    text["memory : full"] = [_number(row["memory_ratio"], digits=2) for row in rows]
    text["GFLOPs/clip"] = [_number(row["train_flops"], 1e-9) for row in rows]
    text["saved MB"] = [_number(row["saved_bytes"], 1e-6) for row in rows]
    text["optimizer MB"] = [_number(row["optimizer_bytes"], 1e-6) for row in rows]
    text["stored MB"] = [_number(row["stored_bytes"], 1e-6) for row in rows]
    return text


def _number(value: float, scale: float = 1.0, digits: int = 1) -> str:
    return "" if pd.isna(value) else f"{value * scale:.{digits}f}"
