"""Options that several commands share, and what they resolve to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.planning.expand import Expansion
    from benchmark.records.store import ResultStore
    from benchmark.spec.grid import Grid

GridName = Annotated[str, typer.Option("--grid", help="A declared grid (see `list grids`) or a YAML file.")]
DataRoot = Annotated[
    Path,
    typer.Option("--data-root", envvar="AAT_BENCHMARK_DATA", help="Folder that holds the official dataset folders."),
]
ResultsFolder = Annotated[
    Path | None, typer.Option("--results", help="Results folder.", show_default="results/runs/GRID")
]
Methods = Annotated[list[str], typer.Option("--method", help="Only this method, e.g. 'aat_ms[bottleneck=64]'.")]
Datasets = Annotated[list[str], typer.Option("--dataset", help="Only this dataset.")]
Backbones = Annotated[list[str], typer.Option("--backbone", help="Only this backbone, e.g. 'ast[size=demo]'.")]
Folds = Annotated[list[str], typer.Option("--fold", help="Only this fold; lists as 1,2 or repeated.")]
Seeds = Annotated[list[str], typer.Option("--seed", help="These seeds; lists as 0,1,2 or repeated.")]
Settings = Annotated[
    list[str], typer.Option("--set", help="recipe.KEY=VALUE or protocol.SWITCH=VALUE, e.g. recipe.epochs=2.")
]
ProtocolName = Annotated[str | None, typer.Option("--protocol", help="Another protocol than the grid's.")]
Checkpoints = Annotated[
    Path | None,
    typer.Option(
        "--checkpoints",
        envvar="AAT_BENCHMARK_CHECKPOINTS",
        help="Folder of pre-trained checkpoints.",
        show_default="aat-benchmark in the user's cache folder",
    ),
]
CacheFolder = Annotated[
    str | None,
    typer.Option(
        "--cache",
        envvar="AAT_BENCHMARK_CACHE",
        help="Folder of the audio cache, or `none` to decode anew each time.",
        show_default="aat-benchmark/audio-cache in the user's cache folder",
    ),
]
LimitClips = Annotated[
    int | None,
    typer.Option("--limit-clips", min=1, help="Use at most so many clips of each split; results are marked."),
]


Shard = Annotated[
    str | None, typer.Option("--shard", help="I/N: the I-th of N parts of the trials.", show_default="all of them")
]


class OnBadAudio(StrEnum):
    """What happens at a file that is empty, cut off or not audio."""

    STOP = "stop"
    SKIP = "skip"


BadAudio = Annotated[
    OnBadAudio | None,
    typer.Option(
        "--on-bad-audio",
        help="A file that is empty, cut off or not audio: stop, or leave it out and record that.",
        show_default="stop",
    ),
]
CpusPerTrial = Annotated[int | None, typer.Option("--cpus-per-trial", min=1, help="Cores of one trial.")]
GpusPerTrial = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-trial",
        min=0,
        help="GPUs of one trial, fractions allowed.",
        show_default="as much as its memory needs, if there are any",
    ),
]
Device = Annotated[str | None, typer.Option(help="`cpu` or `cuda`.", show_default="cuda if there is one")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

DATA_ROOT = Path("data")


def choose_device(given: str | None) -> str:
    """What `--device` says, by default the GPU if there is one.

    Raises:
        BenchmarkError: neither cpu nor cuda, or no GPU is found.
    """
    import torch

    if given not in {None, "cpu", "cuda"}:
        raise BenchmarkError(f"--device {given}: expected cpu or cuda")
    if given == "cuda" and not torch.cuda.is_available():
        raise BenchmarkError("--device cuda: torch finds no GPU here; `doctor` says more")
    return given or ("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Selection:
    """A grid as the command line chose it, and the folders it reads and writes."""

    grid: Grid
    store: ResultStore
    data_root: Path
    checkpoints: Path
    cache: Path | None
    shard: str | None = None

    def expand(self) -> Expansion:
        """The trials, of the shard where one is asked for.

        Raises:
            BenchmarkError: as `expand`, or a shard that is not I/N.
        """
        from benchmark.planning.expand import expand

        expansion = expand(self.grid, self.data_root, self.checkpoints)
        return expansion if self.shard is None else expansion.part(*_shard(self.shard))


def select(
    grid: str,
    data_root: Path,
    checkpoints: Path | None,
    results: Path | None,
    methods: list[str],
    datasets: list[str],
    backbones: list[str],
    folds: list[str],
    seeds: list[str],
    settings: list[str],
    protocol: str | None,
    cache: str | None = None,
    limit_clips: int | None = None,
    on_bad_audio: OnBadAudio | None = None,
    shard: str | None = None,
) -> Selection:
    """Load the grid and apply the options.

    Raises:
        BenchmarkError: a mistake in the grid or an option.
    """
    from benchmark.models.weights import default_folder
    from benchmark.records.store import ResultStore
    from benchmark.spec.grid import load_grid, narrow

    loaded = narrow(
        load_grid(grid), methods=methods, datasets=datasets, backbones=backbones, folds=folds, seeds=seeds,
        settings=[*settings, *_recipe_settings(limit_clips, on_bad_audio)], protocol=protocol,
    )  # fmt: skip
    store = ResultStore(results or Path("results") / "runs" / loaded.name)
    # a grid that needs no data has its own, apart from the user's
    own = store.folder / "synthetic" if loaded.synthesize else None
    return Selection(
        loaded, store, own or data_root, checkpoints or default_folder(), cache_folder(cache, own or default_folder()),
        shard,
    )  # fmt: skip


def _shard(text: str) -> tuple[int, int]:
    """`2/8` as (2, 8)."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise BenchmarkError(f"--shard {text}: expected I/N with I from 1 to N, such as 2/8")
    return int(match[1]), int(match[2])


SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def duration(text: str) -> float:
    """`8h` in seconds.

    Raises:
        BenchmarkError: not a number with a unit.
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(s|min|h|d)", text)
    if not match or not float(match[1]):
        raise BenchmarkError(f"--budget {text}: expected a time such as 8h, 30min or 2d")
    return float(match[1]) * SECONDS[match[2]]


def cache_folder(given: str | None, parent: Path) -> Path | None:
    """Folder of the audio cache, in `parent` unless given; None for `none`."""
    if given == "none":
        return None
    return Path(given) if given else parent / "audio-cache"


def _recipe_settings(limit_clips: int | None, on_bad_audio: OnBadAudio | None) -> list[str]:
    values = {"limit_clips": limit_clips, "on_bad_audio": on_bad_audio}
    return [f"recipe.{key}={value}" for key, value in values.items() if value is not None]
