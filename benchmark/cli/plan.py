"""`plan`: what a run would do, and what it would cost."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, stderr_console, stdout_console

UNFIT = 3  # exit code


def plan(
    grid: options.GridName,
    data_root: options.DataRoot = options.DATA_ROOT,
    checkpoints: options.Checkpoints = None,
    results: options.GridResults = None,
    method: options.Methods = [],
    dataset: options.Datasets = [],
    backbone: options.Backbones = [],
    fold: options.Folds = [],
    seed: options.Seeds = [],
    settings: options.Settings = [],
    protocol: options.ProtocolName = None,
    cache: options.CacheFolder = None,
    limit_clips: options.LimitClips = None,
    on_bad_audio: options.BadAudio = None,
    shots: options.Shots = [],
    draws: options.Draws = None,
    candidates: options.Candidates = None,
    shard: options.Shard = None,
    cpus_per_trial: options.CpusPerTrial = None,
    gpus_per_trial: options.GpusPerTrial = None,
    compile: options.Compile = False,
    checkpointing: options.Checkpointing = False,
    test_curves: options.TestCurves = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="First time a few steps of every shape that was not timed here yet.",
            rich_help_panel=options.MACHINE,
        ),
    ] = False,
    power: Annotated[
        float | None,
        typer.Option(
            help="Points: also print how many seeds find such a difference (power 80 %).",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    trials: options.Trials = False,
    json: options.Json = False,
) -> None:
    """Print missing inputs, the trials of a grid by backbone, dataset and method with their states, and the cost.

    The cost is the time and memory of the trials that a run would submit, on this machine. It comes from counted
    operations; from measured steps where `profile` or --calibrate made some; from finished records where there are
    some. --trials says which for each trial, after the word `by`.

    Example: python -m benchmark plan --grid quick --data-root DIR

    Exit code: 0 done, 3 some methods cannot be built.
    """
    from benchmark.api.plan import plan as plan_grid
    from benchmark.console import show

    planned = plan_grid(
        grid,
        methods=method,
        datasets=dataset,
        backbones=backbone,
        folds=fold,
        seeds=seed,
        settings=settings,
        protocol=protocol,
        limit_clips=limit_clips,
        on_bad_audio=on_bad_audio,
        shots=shots,
        draws=draws,
        candidates=candidates,
        shard=shard,
        data_root=data_root,
        checkpoints=checkpoints,
        results=results,
        cache=cache,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        compile=compile,
        checkpointing=checkpointing,
        test_curves=test_curves,
        calibrate=calibrate,
        power=power,
        console=stderr_console(),
    )
    if json:
        print_json(planned.as_dict())
    else:
        show(stdout_console(), planned.blocks(trials=trials))
    raise typer.Exit(UNFIT if planned.unfit else 0)
