"""`search`: choose a method and its hyper-parameters on validation data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, stderr_console, stdout_console
from benchmark.cli.run import INTERRUPTED, SOME_FAILED
from benchmark.console import printable
from benchmark.errors import BenchmarkError

UNITS = {"": 1, "k": 10**3, "M": 10**6}


def search(
    dataset: Annotated[str, typer.Option("--dataset", help="The dataset.", rich_help_panel=options.CHOICE)],
    backbone: Annotated[
        str,
        typer.Option("--backbone", help="The backbone, e.g. 'ast\\[weights=FILE]'.", rich_help_panel=options.CHOICE),
    ],
    budget: Annotated[
        int,
        typer.Option(
            "--budget",
            help="Configurations to train in all; those over the limits do not count.",
            rich_help_panel=options.CHOICE,
        ),
    ],
    max_params: Annotated[
        str | None,
        typer.Option(
            "--max-params",
            help="Most trainable parameters, head included: 300k, 1.5M, 40000.",
            rich_help_panel=options.CHOICE,
        ),
    ] = None,
    max_memory: Annotated[
        float | None,
        typer.Option("--max-memory", help="Most GB of one training step, as computed.", rich_help_panel=options.CHOICE),
    ] = None,
    method: Annotated[
        list[str],
        typer.Option(
            "--method",
            help="Only this method; 'aat_m\\[bottleneck=8,16]+prompt' gives values to choose from.",
            show_default="all parameter-efficient ones and all pairs of them",
            rich_help_panel=options.CHOICE,
        ),
    ] = [],
    fold: Annotated[
        int | None,
        typer.Option("--fold", help="Test fold, which is not read.", show_default="1", rich_help_panel=options.CHOICE),
    ] = None,
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, help="Seed of the draws and of the trainings.", rich_help_panel=options.CHOICE),
    ] = 0,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            min=1,
            help="Most epochs of a configuration.",
            show_default="the recipe's",
            rich_help_panel=options.CHOICE,
        ),
    ] = None,
    data_root: options.DataRoot = options.DATA_ROOT,
    checkpoints: options.Checkpoints = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            help="Results folder.",
            show_default="results/runs/search-DATASET-BACKBONE",
            rich_help_panel=options.FOLDERS,
        ),
    ] = None,
    settings: options.Settings = [],
    protocol: options.ProtocolName = None,
    cache: options.CacheFolder = None,
    cpus: Annotated[
        int | None,
        typer.Option(min=1, help="CPU cores to use in all.", show_default="all", rich_help_panel=options.MACHINE),
    ] = None,
    cpus_per_trial: options.CpusPerTrial = None,
    gpus_per_trial: options.GpusPerTrial = None,
    json: options.Json = False,
) -> None:
    """Search methods, combinations, hyper-parameters and learning rates on validation data; test clips are not read.

    At the end it shows the Pareto front of score, parameters and memory, and the command that runs the winner under
    the full protocol. The same command continues an interrupted search, and with a larger budget a finished one.

    Example: python -m benchmark search --dataset esc50 --backbone ast-demo --budget 20 --max-params 300k

    Exit code: 0 the budget is spent, 2 wrong input, 3 no configuration could be trained, 130 interrupted.
    """
    from benchmark.api.search import search as run_search

    result = run_search(
        dataset, backbone, budget, max_params=_number(max_params), max_memory=max_memory, methods=method, fold=fold,
        seed=seed, epochs=epochs, data_root=data_root, checkpoints=checkpoints, results=results, settings=settings,
        protocol=protocol, cache=cache, cpus=cpus, cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial,
        restart_on_ray_death=True, console=stderr_console() if json else stdout_console(soft_wrap=True),
    )  # fmt: skip
    if json:
        print_json(result.as_dict())
    else:
        typer.echo(printable(str(result), keep_lines=True))
    raise typer.Exit(INTERRUPTED if result.interrupted else SOME_FAILED if result.command is None else 0)


def _number(text: str | None) -> int | None:
    """Return `300k` as 300000."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(k|M|)", text)
    if not match or not float(match[1]):
        raise BenchmarkError(f"--max-params {text}: expected a number such as 300k, 1.5M or 40000")
    return round(float(match[1]) * UNITS[match[2]])
