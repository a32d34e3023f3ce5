"""Reproducibility benchmark for parameter-efficient fine-tuning of audio Transformers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

    from benchmark.models.transformer import AudioTransformer

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


def load_export(
    folder: str | Path, checkpoints: str | Path | None = None, methods: Iterable[str] = ()
) -> AudioTransformer:
    """The trained model that `python -m benchmark export` wrote: (B, frames, mels) normalised filter banks -> logits.

    Args:
        folder: the folder that was given to `export --out`.
        checkpoints: folder of pre-trained backbones, None for the default one.
        methods: files of methods from outside the suite, as they were given to `run`.

    Raises:
        benchmark.errors.BenchmarkError: damaged, the method is another one by now, or the backbone is not the one that
            it was trained on.
    """
    from pathlib import Path

    from benchmark.tools.export import load_export as load

    return load(Path(folder), None if checkpoints is None else Path(checkpoints), methods)
