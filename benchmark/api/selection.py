"""Which trials of a grid a call is about, and the folders that they read and write."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.api.folders import PathLike, cache_folder, checkpoint_folder, data_root, results_folder
from benchmark.api.method_names import method_names
from benchmark.errors import ArgumentError

if TYPE_CHECKING:
    from benchmark.api.method_names import MethodNames
    from benchmark.planning.expand import Expansion
    from benchmark.records.store import ResultStore
    from benchmark.spec.grid import Grid

logger = logging.getLogger(__name__)

Names = str | Iterable[str] | None
Numbers = int | str | Iterable[int | str] | None
Settings = Mapping[str, Any] | Iterable[str] | None
OnBadAudio = Literal["stop", "skip"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A choice of trials, as a caller or the command line states it.

    Attributes:
        grid: name of a declared grid, path of a YAML file, or a `Grid` object.
        methods: use only these: text, classes or objects (see `benchmark.api.method_names`).
        datasets: use only these.
        backbones: use only these, such as `ast[size=demo]`.
        folds: use only these.
        seeds: use these instead of the grid's.
        settings: `{"recipe.epochs": 2}` or `["recipe.epochs=2"]`; keys are recipe.KEY or protocol.SWITCH.
        protocol: a protocol instead of the grid's.
        limit_clips: use at most this many clips of each split; results are marked.
        on_bad_audio: stop at a file that cannot be read, or skip it and record that.
        shots: training clips per class, instead of all.
        draws: draws of these clips.
        candidates: settings per method, of a grid that chooses settings.
        shard: `I/N`, the I-th of N parts of the trials.
        data_root: folder that holds the official dataset folders.
        checkpoints: folder of pre-trained checkpoints.
        results: results folder.
        cache: folder of the audio cache, or `none`.
    """

    grid: str | Path | Grid
    methods: MethodNames = ()
    datasets: Names = ()
    backbones: Names = ()
    folds: Numbers = ()
    seeds: Numbers = ()
    settings: Settings = ()
    protocol: str | None = None
    limit_clips: int | None = None
    on_bad_audio: OnBadAudio | None = None
    shots: Numbers = ()
    draws: int | None = None
    candidates: int | None = None
    shard: str | None = None
    data_root: PathLike | None = None
    checkpoints: PathLike | None = None
    results: PathLike | None = None
    cache: PathLike | None = None

    def resolve(self) -> SelectedGrid:
        """Load the grid, narrow it, and resolve the folders.

        Raises:
            BenchmarkError: a mistake in the grid or in an attribute.
        """
        from benchmark.records.store import ResultStore
        from benchmark.spec.grid import Grid, load_grid, narrow

        recipe = {"limit_clips": self.limit_clips, "on_bad_audio": self.on_bad_audio}
        recipe = {f"recipe.{key}": value for key, value in recipe.items() if value is not None}
        grid = narrow(
            self.grid if isinstance(self.grid, Grid) else load_grid(str(self.grid)),
            methods=method_names(self.methods),
            datasets=texts(self.datasets),
            backbones=texts(self.backbones),
            folds=texts(self.folds),
            seeds=texts(self.seeds),
            settings=[*settings_text(self.settings), *settings_text(recipe)],
            protocol=self.protocol,
            shots=texts(self.shots),
            draws=self.draws,
            candidates=self.candidates,
        )
        store = ResultStore(results_folder(self.results, grid.name))
        # a grid that generates its audio keeps it apart from the user's data
        synthetic = store.folder / "synthetic" if grid.synthesize else None
        selected = SelectedGrid(
            grid=grid,
            store=store,
            data_root=synthetic or data_root(self.data_root),
            checkpoints=checkpoint_folder(self.checkpoints),
            cache=cache_folder(self.cache, synthetic),
            shard=None if self.shard is None else _shard(self.shard),
        )
        logger.info("results: %s; data root: %s", store.folder, selected.data_root)
        logger.info("audio cache: %s; checkpoints: %s", selected.cache or "none", selected.checkpoints)
        return selected


@dataclass(frozen=True)
class SelectedGrid:
    """A narrowed grid and its folders.

    Attributes:
        grid: the grid.
        store: the results folder.
        data_root: folder of the dataset folders.
        checkpoints: folder of pre-trained checkpoints.
        cache: folder of the audio cache; None decodes every time.
        shard: number of the part and number of parts; None for all trials.
    """

    grid: Grid
    store: ResultStore
    data_root: Path
    checkpoints: Path
    cache: Path | None
    shard: tuple[int, int] | None = None

    def expand(self) -> Expansion:
        """Return the trials, or those of the shard; of a grid that chooses settings, those with the default settings.

        Raises:
            BenchmarkError: an unknown name, a bad option, or data that does not follow its layout.
        """
        from benchmark.planning.expand import expand

        grid = self.grid
        if grid.tune is not None:
            from benchmark.search.tuned import with_defaults

            grid = with_defaults(grid)
        expansion = expand(grid, self.data_root, self.checkpoints)
        # the settings of a method are compared with each other: one part has all of them
        is_tuned = self.grid.tune is not None
        return expansion if self.shard is None else expansion.part(*self.shard, whole_cells=is_tuned)


def texts(values: Names | Numbers) -> list[str]:
    """Return one value or several as a list of text."""
    if values is None:
        return []
    return [str(values)] if isinstance(values, str | int) else [str(value) for value in values]


def settings_text(settings: Settings) -> list[str]:
    """Return settings as KEY=VALUE; values of a mapping are written as JSON, which reads back as the same value."""
    if settings is None:
        return []
    if isinstance(settings, str):
        return [settings]
    if isinstance(settings, Mapping):
        return [
            f"{key}={value if isinstance(value, str) else json.dumps(value, default=str)}"
            for key, value in settings.items()
        ]
    return list(settings)


def _shard(text: str) -> tuple[int, int]:
    """Return `2/8` as (2, 8)."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ArgumentError("shard", "expected I/N with I from 1 to N, such as 2/8", text)
    return int(match[1]), int(match[2])
