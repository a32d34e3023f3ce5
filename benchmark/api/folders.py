"""Where inputs and results are, unless the caller says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark.errors import BenchmarkError

DATA_ROOT = Path("data")
RUNS = Path("results") / "runs"
NO_CACHE = "none"
PathLike = str | Path


def data_root(given: PathLike | None) -> Path:
    """Return the data root: as given, else AAT_BENCHMARK_DATA, else `data`."""
    return Path(given or os.environ.get("AAT_BENCHMARK_DATA") or DATA_ROOT)


def checkpoint_folder(given: PathLike | None) -> Path:
    """Return the folder of checkpoints: as given, else AAT_BENCHMARK_CHECKPOINTS, else in the user's cache folder."""
    from benchmark.models.weights import default_folder

    chosen = given or os.environ.get("AAT_BENCHMARK_CHECKPOINTS")
    return Path(chosen) if chosen else default_folder()


def cache_folder(given: PathLike | None, parent: Path | None = None) -> Path | None:
    """Return the folder of the audio cache, or None where audio is decoded every time.

    Args:
        given: a folder; `none` for no cache; None for AAT_BENCHMARK_CACHE or else the default.
        parent: the folder that holds the default cache; None for the user's cache folder.
    """
    from benchmark.models.weights import default_folder

    chosen = given or os.environ.get("AAT_BENCHMARK_CACHE")
    if not chosen:
        return (parent or default_folder()) / "audio-cache"
    return None if str(chosen) == NO_CACHE else Path(chosen)


def verdict_folder() -> Path:
    """Return the folder of what `data verify` found, in the user's cache folder."""
    from benchmark.models.weights import default_folder

    return default_folder() / "verified"


def results_folder(given: PathLike | None, grid: str) -> Path:
    """Return the results folder: as given, else `results/runs/GRID`.

    Raises:
        BenchmarkError: it is a file.
    """
    return new_folder(Path(given) if given else RUNS / grid)


def new_folder(path: Path) -> Path:
    """Return a path where a folder is or can be made.

    Raises:
        BenchmarkError: there is a file.
    """
    if path.exists() and not path.is_dir():
        raise BenchmarkError(f"{path}: is a file; name a folder")
    return path
