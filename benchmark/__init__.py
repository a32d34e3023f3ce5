"""Reproducibility benchmark for parameter-efficient fine-tuning of audio Transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

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
