"""Reproducibility benchmark for parameter-efficient fine-tuning of audio Transformers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

# pandas keeps text in Arrow, whose own allocator was seen to block the start of threads
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

__version__ = "0.1.0"


def load_results(results: str | Path) -> pd.DataFrame:
    """One row per finished trial of the results folder; see `benchmark.records.frame.COLUMNS`.

    Args:
        results: the folder that was given to `run --results`.

    Raises:
        benchmark.errors.BenchmarkError: the folder does not exist or holds a record of a newer schema.
    """
    from benchmark.records.frame import load_results as load

    return load(results)
