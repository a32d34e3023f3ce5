"""Results and trained models as Python objects."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.arguments import checked
from benchmark.api.folders import checkpoint_folder
from benchmark.api.selection import texts

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.tools.export import TrainedModel


@checked
def load_results(results: str | Path) -> pd.DataFrame:
    """Return one row per finished trial of a results folder.

    Args:
        results: the folder that was given to `run`.

    Returns:
        A DataFrame; its columns are described in `benchmark.records.frame.COLUMNS`.

    Raises:
        BenchmarkError: the folder does not exist or holds a record of a newer schema.

    Example:
        >>> benchmark.load_results("OUT").groupby("method")["score"].mean()
    """
    from benchmark.records.frame import load_results as load

    return load(results)


@checked
def load_export(
    folder: str | Path,
    checkpoints: str | Path | None = None,
    methods: str | Iterable[str] = (),
    backbones: str | Iterable[str] = (),
) -> TrainedModel:
    """Return the trained model that `export` wrote, on the CPU, in evaluation mode.

    Args:
        folder: the folder that was given to `export`.
        checkpoints: folder of pre-trained checkpoints; None for the default one.
        methods: files of methods from outside the suite, as they were given to `run`.
        backbones: the same of backbones.

    Returns:
        A module with `predict(sound)`: a file, or an array with its sample rate. A call of the module maps normalised
        filter banks (batch, frames, mels) to logits (batch, classes); its attribute `model` is the trial's own module.

    Raises:
        BenchmarkError: a damaged export, a method that has changed since, or not the backbone of the training.

    Example:
        >>> print(benchmark.load_export("my-model").predict("rain.wav"))
    """
    from benchmark.tools.export import load_export as load

    return load(Path(folder), checkpoint_folder(checkpoints), texts(methods), texts(backbones))
