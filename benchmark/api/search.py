"""Search methods, hyper-parameters and learning rates on validation data."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.arguments import checked
from benchmark.api.folders import results_folder
from benchmark.api.method_names import method_names
from benchmark.api.search_result import SearchResult, make_result
from benchmark.api.selection import SelectedGrid, Selection, Settings, settings_text
from benchmark.commands import install
from benchmark.console import say, stderr_console
from benchmark.errors import ArgumentError, BenchmarkError, MissingInputError

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.api.method_names import MethodNames
    from benchmark.search.history import Configuration
    from benchmark.search.space import Limits, Space

PROTOCOL_GRID = "paper"  # folds, seeds and protocol of the winner's final run
logger = logging.getLogger(__name__)


@checked
def search(
    dataset: str,
    backbone: str,
    budget: int,
    *,
    max_params: int | None = None,
    max_memory: float | None = None,
    methods: MethodNames = (),
    fold: int | None = None,
    seed: int = 0,
    epochs: int | None = None,
    data_root: str | Path | None = None,
    checkpoints: str | Path | None = None,
    results: str | Path | None = None,
    settings: Settings = (),
    protocol: str | None = None,
    cache: str | Path | None = None,
    cpus: int | None = None,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    restart_on_ray_death: bool = False,
    console: Console | None = None,
) -> SearchResult:
    """Search methods, combinations, hyper-parameters and learning rates on validation data; test clips are not read.

    The same call continues an interrupted search, and with a larger budget a finished one.

    Args:
        dataset: name of the dataset.
        backbone: the backbone, such as `ast[weights=FILE]`.
        budget: configurations to train in all; those that exceed a limit do not count.
        max_params: most trainable parameters, head included.
        max_memory: most GB of one training step, as computed.
        methods: the methods to choose from, such as `aat_m[bottleneck=8,16]+prompt`, with values to choose from;
            default all parameter-efficient methods and all pairs of them.
        fold: test fold, which is not read; default the first one.
        seed: seed of the draws and of the trainings.
        epochs: most epochs of a configuration; default the recipe's.
        data_root: folder of the official dataset folders; default AAT_BENCHMARK_DATA or `data`.
        checkpoints: folder of pre-trained checkpoints; default AAT_BENCHMARK_CHECKPOINTS or the user's cache folder.
        results: results folder; default `results/runs/search-DATASET-BACKBONE`.
        settings: recipe values and protocol switches, `{"recipe.frames": 64}` or `["recipe.frames=64"]`.
        protocol: a protocol instead of the paper's.
        cache: folder of the audio cache, or `none` to decode every time; default AAT_BENCHMARK_CACHE or the user's
            cache folder.
        cpus: CPU cores to use in all; default all.
        cpus_per_trial: CPU cores of one training; default a share of the machine.
        gpus_per_trial: GPUs of one training, at most 1, fractions allowed; default as much as its memory needs.
        restart_on_ray_death: start the command line of this process again when Ray's own processes die; only right for
            a command line.
        console: where progress is shown; None for stderr, `Console(quiet=True)` for silence.

    Raises:
        BenchmarkError: a mistake in an argument, missing data, a results folder of another search, or limits that no
            configuration meets.

    Example:
        >>> print(benchmark.search("esc50", "ast-demo", budget=20, max_params=300_000, data_root="DIR"))
    """
    if find_spec("optuna") is None:
        raise BenchmarkError(f"search needs Optuna: {install('search')}")
    if budget < 1:
        raise BenchmarkError(f"budget {budget}: expected at least 1 configuration")
    if max_memory is not None and not 0 < max_memory < 1e6:
        raise BenchmarkError(f"max memory {max_memory:g}: expected a number of GB above 0")
    from benchmark.orchestrator.cache_warmup import warm_cache
    from benchmark.search import history
    from benchmark.search.run import Search, exclusive
    from benchmark.search.space import Limits
    from benchmark.spec.grammar import path_name
    from benchmark.spec.options import RunOptions

    console = console or stderr_console()
    folder = results_folder(results, path_name(f"search-{dataset}-{backbone}", ""))
    changes = settings_text(settings)
    _check_names(dataset, backbone)
    selection = Selection(
        grid=PROTOCOL_GRID, datasets=dataset, backbones=backbone, folds=() if fold is None else fold, seeds=seed,
        settings=changes if epochs is None else [*changes, f"recipe.epochs={epochs}"], protocol=protocol,
        data_root=data_root, checkpoints=checkpoints, results=folder, cache=cache,
    )  # fmt: skip
    space, selected, places = _make_space(selection, method_names(methods))
    limits = Limits(max_params, None if max_memory is None else round(max_memory * 1e9))
    options = RunOptions(
        data_root=selected.data_root, cache=selected.cache, checkpoints=places, cpus=cpus,
        cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial, restart_on_ray_death=restart_on_ray_death,
    )  # fmt: skip
    say(console, _heading(space))
    with exclusive(folder):
        study, interrupted = history.open_study(folder, space.settings(limits, seed), space.epochs), False
        done = history.spent(history.configurations(study))
        logger.info("%s: %d of %d configurations are done", folder, done, budget)
        if done < budget:
            manifest = space.split.manifest
            warm_cache([space.first], {manifest.info.name: manifest}, options.cache, console)
            interrupted = Search(space, limits, study, folder.absolute(), seed, options, console).run(budget)
        history.write_table(folder, study)
    rows = history.configurations(study)
    if not interrupted and not history.spent(rows):
        raise BenchmarkError(_nothing_fits(rows, limits))
    given = {"--data-root": data_root, "--checkpoints": checkpoints, "--protocol": protocol}
    words = ["--dataset", dataset, "--backbone", backbone, *(w for o, v in given.items() if v for w in (o, str(v)))]
    return make_result(
        space, rows, folder, budget, interrupted=interrupted,
        words=["python", "-m", "benchmark", "run", "--grid", PROTOCOL_GRID, *words], settings=changes,
    )  # fmt: skip


def _check_names(dataset: str, backbone: str) -> None:
    """Check the names that the caller gives, for messages that name the argument instead of the grid.

    Raises:
        ArgumentError: there is no such dataset or backbone.
    """
    from benchmark.data.registry import get_dataset
    from benchmark.models.outside import resolve_backbones

    for argument, name, find in (("dataset", dataset, get_dataset), ("backbone", backbone, resolve_backbones)):
        try:
            find(name, argument)
        except BenchmarkError as error:
            raise ArgumentError(argument, str(error).removeprefix(f"{argument}: ")) from None


def _make_space(selection: Selection, methods: Sequence[str]) -> tuple[Space, SelectedGrid, dict[str, Path]]:
    """Return the search space, the grid that it stems from, and the paths of checkpoints by sha256.

    Args:
        selection: dataset, backbone, fold, seed, settings and folders.
        methods: the methods to choose from; all if empty.

    Raises:
        BenchmarkError: a mistake in an argument, or missing data.
    """
    from benchmark.search.space import default_methods, make_space, method_spaces

    known = method_spaces(methods or default_methods())
    names = ["+".join(method.parts) for method in known.values()]
    selected = dataclasses.replace(selection, methods=names).resolve()
    expansion = selected.expand()
    if expansion.missing_inputs:
        raise MissingInputError(expansion.missing_inputs[0])
    return make_space(selected.grid, expansion, known), selected, expansion.checkpoints


def _heading(space: Space) -> str:
    clips = space.split.manifest.clips
    number = sum(clip.split == "validation" for clip in clips)
    return (
        f"Searching {len(space.methods)} methods and combinations; validation: {space.split.rule} ({number} of "
        f"{len(clips)} clips); test clips are not read"
    )


def _nothing_fits(rows: list[Configuration], limits: Limits) -> str:
    """Say why nothing was trained, with the smallest configuration."""
    key = "trainable" if limits.trainable is not None else "peak_bytes"
    sizes = [(getattr(row, key), row) for row in rows if getattr(row, key) is not None]
    _, nearest = min(sizes, key=lambda pair: pair[0], default=(0, rows[-1]))
    return f"none of {len(rows)} configurations fits; the nearest, {nearest.method}: {nearest.error}"
