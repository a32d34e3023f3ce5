"""`run`: train and evaluate a grid, then report."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, print_report, stderr_console, stdout_console

if TYPE_CHECKING:
    from benchmark.api.run_result import RunResult

SOME_FAILED, INTERRUPTED = 3, 130  # exit codes


class Logger(StrEnum):
    """Where the curves are also written."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"


class Rerun(StrEnum):
    """States of trials that a run leaves alone unless asked."""

    FAILED = "failed"
    STALE = "stale"


def run(
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
    rerun: Annotated[
        list[Rerun],
        typer.Option(
            help="Also run trials that failed too often, or whose record has another numerics version.",
            rich_help_panel=options.CHOICE,
        ),
    ] = [],
    skip_missing: Annotated[
        bool,
        typer.Option(
            "--skip-missing",
            help="Run the trials whose data and checkpoint are available.",
            rich_help_panel=options.CHOICE,
        ),
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster to use: `auto` or host:port.",
            show_default="start Ray here",
            rich_help_panel=options.MACHINE,
        ),
    ] = None,
    cpus: options.Cpus = None,
    cpus_per_trial: options.CpusPerTrial = None,
    gpus_per_trial: options.GpusPerTrial = None,
    exclusive: Annotated[
        bool,
        typer.Option(
            "--exclusive",
            help="One trial per device, each in a fresh process, to measure time and memory.",
            rich_help_panel=options.MACHINE,
        ),
    ] = False,
    gang: Annotated[
        bool,
        typer.Option(
            "--gang",
            help="Trials of one head with other learning rates, decays or schedules share batches and frozen features.",
            rich_help_panel=options.MACHINE,
        ),
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Seconds after which a trial is ended.",
            show_default="no limit",
            rich_help_panel=options.MACHINE,
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time for this run, as 8h or 30min: run only the trials that decide the most claims.",
            show_default="all trials",
            rich_help_panel=options.CHOICE,
        ),
    ] = None,
    report: Annotated[
        bool,
        typer.Option(
            "--report/--no-report",
            help="Write tables and figures at the end, as `report` does.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = True,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            help="Use only algorithms that repeat bit for bit on a GPU; slower.",
            rich_help_panel=options.MACHINE,
        ),
    ] = False,
    compile: options.Compile = False,
    test_curves: options.TestCurves = False,
    checkpointing: options.Checkpointing = False,
    keep_weights: Annotated[
        bool,
        typer.Option(
            "--keep-weights",
            help="Keep the trained parameters beside each record, for `export`.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    log: Annotated[
        list[Logger],
        typer.Option(
            help="Also write the curves for TensorBoard, MLflow or Weights & Biases, into RESULTS/logs.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = [],
    json: options.Json = False,
) -> None:
    """Run a grid; trials that are finished are not run again.

    Example: python -m benchmark run --grid quick --dataset esc50 --data-root DIR --results OUT

    Exit code: 0 all trials are finished, 2 wrong input, 3 some failed, 130 interrupted.
    """
    from benchmark.api.run import run as run_grid
    from benchmark.api.trial_matrix import failure_lines
    from benchmark.console import say, show

    done = run_grid(
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
        rerun=rerun,
        skip_missing=skip_missing,
        budget=budget,
        report=report,
        address=address,
        cpus=cpus,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        exclusive=exclusive,
        gang=gang,
        timeout=timeout,
        deterministic=deterministic,
        compile=compile,
        test_curves=test_curves,
        checkpointing=checkpointing,
        keep_weights=keep_weights,
        loggers=log,
        restart_on_ray_death=True,
        console=stderr_console() if json else stdout_console(),
    )
    if json:
        print_json(done.as_dict())
    else:
        if done.report is not None:
            print_report(done.report, done.results)
        if done.submitted:
            show(stdout_console(), failure_lines(done.failures))
        say(stdout_console(), done.summary())
    raise typer.Exit(_exit_code(done))


def _exit_code(done: RunResult) -> int:
    if done.interrupted:
        return INTERRUPTED
    return 0 if done.is_complete else SOME_FAILED
