"""Train and evaluate a grid, then report."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api import folders
from benchmark.api.arguments import checked
from benchmark.api.budget import within_budget
from benchmark.api.run_inputs import available, buildable, synthesize, verdicts, without_weights
from benchmark.api.run_result import RERUN, RunResult
from benchmark.api.selection import Names, Numbers, OnBadAudio, SelectedGrid, Selection, Settings, texts
from benchmark.api.trial_matrix import read_failures
from benchmark.commands import command
from benchmark.console import counting, say, stderr_console
from benchmark.errors import ArgumentError, BenchmarkError, closest, first_line

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from benchmark.api.method_names import MethodNames
    from benchmark.api.tuned import Chosen
    from benchmark.orchestrator.run import Ended
    from benchmark.planning.expand import Expansion
    from benchmark.planning.plan import Plan
    from benchmark.records.store import ResultStore
    from benchmark.report.best import Best
    from benchmark.report.write import Report
    from benchmark.spec.grid import Grid
    from benchmark.spec.options import RunOptions
    from benchmark.spec.request import TrialRequest

logger = logging.getLogger(__name__)

LOGGERS = ("tensorboard", "mlflow", "wandb")


@checked
def run(
    grid: str | Path | Grid,
    *,
    methods: MethodNames = (),
    datasets: Names = (),
    backbones: Names = (),
    folds: Numbers = (),
    seeds: Numbers = (),
    settings: Settings = (),
    protocol: str | None = None,
    limit_clips: int | None = None,
    on_bad_audio: OnBadAudio | None = None,
    shots: Numbers = (),
    draws: int | None = None,
    candidates: int | None = None,
    shard: str | None = None,
    data_root: str | Path | None = None,
    checkpoints: str | Path | None = None,
    results: str | Path | None = None,
    cache: str | Path | None = None,
    rerun: Names = (),
    skip_missing: bool = False,
    budget: str | float | None = None,
    report: bool = True,
    address: str | None = None,
    cpus: int | None = None,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    exclusive: bool = False,
    gang: bool = False,
    timeout: float | None = None,
    deterministic: bool = False,
    compile: bool = False,
    test_curves: bool = False,
    checkpointing: bool = False,
    keep_weights: bool = False,
    loggers: Names = (),
    restart_on_ray_death: bool = False,
    console: Console | None = None,
) -> RunResult:
    """Run the trials of a grid that have no record yet, then write tables and figures.

    A killed process loses at most the last minute and the current epoch of each trial: the same call continues.
    Works in a script without an `if __name__ == "__main__"` guard and in a notebook. Call it from the main thread,
    so that Ctrl-C can stop it.

    Args:
        grid: name of a declared grid (`smoke`, `demo`, `quick`, `paper`), path of a YAML file, or a `Grid` object.
        methods: use only these; text such as `aat_ms[bottleneck=64]` or `./mine.py`, a class derived from `Method`,
            an object of such a class, or a list of them. A class must be defined in a file that can be imported.
        datasets: use only these; a name or a list.
        backbones: use only these; a name such as `ast[size=demo]` or a list.
        folds: use only these; a number or a list.
        seeds: use these instead of the grid's; a number or a list.
        settings: recipe values and protocol switches, `{"recipe.epochs": 2}` or `["recipe.epochs=2"]`.
        protocol: a protocol instead of the grid's: `reference` or `corrected`.
        limit_clips: use at most this many clips of each split; results are marked.
        on_bad_audio: `stop` (default) at a file that cannot be read, or `skip` it and record that.
        shots: few-shot: training clips per class, a number or a list; results are marked.
        draws: draws of these clips, the same for all methods and seeds; default the grid's (5).
        candidates: settings per method and dataset, of a grid that chooses settings (`tuned`); default the grid's (8).
        shard: `I/N`, run only the I-th of N parts of the trials.
        data_root: folder that holds the official dataset folders; default AAT_BENCHMARK_DATA or `data`. A grid that
            generates its audio does not read it.
        checkpoints: folder of pre-trained checkpoints; default AAT_BENCHMARK_CHECKPOINTS or the user's cache folder.
        results: results folder; default `results/runs/GRID`.
        cache: folder of the audio cache, or `none` to decode every time; default AAT_BENCHMARK_CACHE or the user's
            cache folder.
        rerun: also run trials that are `failed` (too often) or `stale` (trained by another numerics version).
        skip_missing: run the trials whose data and checkpoint are available and whose model can be built, instead of
            raising an error.
        budget: time for this run, seconds or text such as `8h`: run only the trials that decide the most claims.
        report: write tables and figures into RESULTS/report at the end.
        address: Ray cluster to use (`auto` or host:port); None starts Ray on this machine.
        cpus: CPU cores to use in all; None for all.
        cpus_per_trial: CPU cores of one trial; None divides the machine.
        gpus_per_trial: GPUs of one trial, at most 1, fractions allowed; None packs by memory, and by throughput where
            `profile --sharing` measured this GPU.
        exclusive: one trial per device, each in a fresh process, to measure time and memory.
        gang: trials that differ in learning rate, weight decay or schedule only, and train nothing but the head, as
            `linear` does, compute batches and frozen features once. Results are the same; times are not measured.
        timeout: seconds after which a trial is ended; None for no limit.
        deterministic: use only algorithms that repeat bit for bit on a GPU; slower.
        compile: compile training: on a GPU faster after a start of some seconds; results differ by rounding.
        test_curves: evaluate the test split after every epoch, for curves, also where its score cannot be the
            reported one; the scores stay.
        checkpointing: activation checkpointing: compute activations again in the backward pass instead of keeping
            them: less memory, more operations, the same results.
        keep_weights: keep the trained parameters beside each record, for `export`.
        loggers: also write the curves for `tensorboard`, `mlflow` or `wandb`, into RESULTS/logs.
        restart_on_ray_death: start the command line of this process again when Ray's own processes die. Only right
            for a command line: a script or notebook would start from its beginning.
        console: where progress is shown; None for stderr, `Console(quiet=True)` for silence.

    Returns:
        Counts by state, the main table, warnings and the folder; see `RunResult`.

    Raises:
        BenchmarkError: a mistake in an argument, a missing input, or resources that never suffice. A trial that fails
            raises nothing: it is counted in the result, and the others go on.

    Example:
        >>> import benchmark
        >>> done = benchmark.run(grid="smoke", methods=["linear", "aat_ms"], results="OUT")
        >>> print(done)
    """
    from benchmark.planning.notes import notes_on_inputs
    from benchmark.planning.plan import make_plan
    from benchmark.spec.options import RunOptions

    console = console or stderr_console()
    wanted = _known("rerun", texts(rerun), RERUN)
    curves = _known("loggers", texts(loggers), LOGGERS)
    selected = Selection(
        grid=grid, methods=methods, datasets=datasets, backbones=backbones, folds=folds, seeds=seeds,
        settings=settings, protocol=protocol, limit_clips=limit_clips, on_bad_audio=on_bad_audio, shots=shots,
        draws=draws, candidates=candidates, shard=shard,
        data_root=data_root, checkpoints=checkpoints, results=results, cache=cache,
    ).resolve()  # fmt: skip
    store = selected.store
    if selected.grid.synthesize:
        if folders.data_root(data_root) != folders.DATA_ROOT:
            say(console, f"grid '{selected.grid.name}' makes its own audio; --data-root is not read")
        synthesize(selected)
    expansion = selected.expand()
    requests = available(expansion, console, skip_missing=skip_missing)
    notes = notes_on_inputs(selected.grid, expansion, store)
    for note in notes:
        say(console, f"note: {note}")
    options = RunOptions(
        data_root=selected.data_root,
        cache=selected.cache,
        checkpoints=expansion.checkpoints,
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
        loggers=tuple(curves),
        keep_weights=keep_weights,
        restart_on_ray_death=restart_on_ray_death,
        verified=verdicts(expansion),
    )
    chosen = None
    if selected.grid.tune:
        if budget is not None:
            raise ArgumentError("budget", f"{selected.grid.origin} chooses settings, which judges no claim")
        chosen = _choose(
            selected, replace(expansion, requests=requests), options, wanted, console, skip_unfit=skip_missing
        )
        expansion, requests = chosen.expansion, chosen.expansion.requests
    of_choice = chosen.choosing if chosen else []
    plan = make_plan(requests, store)
    to_run = plan.to_run(wanted)
    if chosen and chosen.ended and chosen.ended.interrupted:
        to_run = []
    if keep_weights and (without := without_weights(plan, to_run, store)):
        say(
            console,
            f"{without} finished trials kept no weights and are not run again: --keep-weights needs another --results",
        )
    with store.lock():
        store.submitted()  # a damaged list, or a folder that cannot be written, is reported before hours of work
    logger.info("%d of %d trials of grid %s are to run", len(to_run), len(requests), selected.grid.name)
    if not to_run:
        whole = make_plan([*of_choice, *requests], store) if chosen else plan
        ended, submitted = (chosen.ended, chosen.submitted) if chosen else (None, 0)
        return _result(
            selected, requests, expansion, whole, notes, console, report=report, ended=ended, submitted=submitted
        )
    submitted, ended = _train(
        to_run, requests, plan, selected, expansion, options, budget, console, skip_unfit=skip_missing
    )
    if chosen:
        submitted += chosen.submitted
        ended = replace(ended, failed=ended.failed + (chosen.ended.failed if chosen.ended else 0))
    after = make_plan([*of_choice, *requests], store)
    return _result(
        selected, requests, expansion, after, notes, console, report=report, ended=ended, submitted=submitted
    )


def _choose(
    selected: SelectedGrid,
    expansion: Expansion,
    options: RunOptions,
    rerun: list[str],
    console: Console,
    *,
    skip_unfit: bool,
) -> Chosen:
    """Choose the settings of a grid with `tune`; see `choose_settings`.

    Args:
        selected: the grid and its folders.
        expansion: its trials with the default settings.
        options: machine, resources and folders of the final trials.
        rerun: states of trials to run again.
        console: where progress is shown.
        skip_unfit: leave out trials whose model cannot be built, instead of raising an error.
    """
    from benchmark.api.tuned import choose_settings
    from benchmark.search.tuned import tuned_grid

    without_weights = replace(options, keep_weights=False)

    def train(
        to_run: list[TrialRequest], remembered: list[TrialRequest], plan: Plan, choosing: Expansion
    ) -> tuple[int, Ended]:
        return _train(
            to_run, remembered, plan, selected, choosing, without_weights, None, console, skip_unfit=skip_unfit
        )

    return choose_settings(tuned_grid(selected.grid, expansion), selected.store, console, train, rerun)


def _known(name: str, values: list[str], valid: tuple[str, ...]) -> list[str]:
    for value in values:
        if value not in valid:
            raise BenchmarkError(f"{name}: unknown value '{value}'{closest(value, valid)}")
    return values


def _train(
    to_run: list[TrialRequest],
    requests: list[TrialRequest],
    plan: Plan,
    selected: SelectedGrid,
    expansion: Expansion,
    options: RunOptions,
    budget: str | float | None,
    console: Console,
    *,
    skip_unfit: bool,
) -> tuple[int, Ended]:
    """Run trials until each has a record or a failed attempt; return how many, and how the run ended.

    Args:
        to_run: the trials to run.
        requests: all trials of the grid, which the results folder remembers.
        plan: states of all trials before the run.
        selected: the grid and its folders.
        expansion: datasets and checkpoints of the grid.
        options: machine, resources and folders.
        budget: time for this run; None for all trials.
        console: where progress is shown.
        skip_unfit: leave out trials whose model cannot be built, instead of raising an error.
    """
    from benchmark.orchestrator.cache_warmup import warm_cache
    from benchmark.orchestrator.run import run_trials
    from benchmark.planning.estimate import estimate_trials
    from benchmark.planning.machine import machine_here
    from benchmark.planning.room import lacking_room, require_room

    store = selected.store
    here = machine_here(options.cpus_per_trial, options.gpus_per_trial)
    machine = replace(here, compiled=options.compile, checkpointing=options.checkpointing)
    estimates = estimate_trials(to_run, expansion, store, machine, console, test_curves=options.test_curves)
    to_run = buildable(to_run, estimates, console, skip_unfit=skip_unfit)
    if budget is not None:
        to_run = within_budget(budget, to_run, estimates, store, expansion, selected.grid.protocol, options, console)
    of_trials = {request.id: estimates[request.id] for request in to_run}
    require_room(store.folder, of_trials, options)
    if lack := lacking_room(store.folder, of_trials, options):
        say(console, f"note: {lack}")
    warm_cache(to_run, expansion.manifests, selected.cache, console)
    with store.lock():
        store.submit(requests)
    return len(to_run), run_trials(to_run, estimates, store, options, before=plan.counts()["done"], console=console)


def _report(
    store: ResultStore, console: Console, *, write: bool
) -> tuple[Report | None, pd.DataFrame, list[str], list[Best]]:
    """Return the report if it is to be written, the main table, its warnings, and the best methods."""
    from benchmark.api.report import main_table
    from benchmark.report.write import build_report

    if not write:
        return None, *main_table(store)
    with counting(console) as progress:
        written = build_report(store, progress=progress)
    return written, written.results, written.warnings, list(written.best)


def _result(
    selected: SelectedGrid,
    requests: list[TrialRequest],
    expansion: Expansion,
    plan: Plan,
    notes: list[str],
    console: Console,
    *,
    report: bool,
    ended: Ended | None,
    submitted: int,
) -> RunResult:
    """Compute floors that are missing, write the report if there is something new, and collect the result.

    Args:
        selected: the grid and its folders.
        requests: all trials of the grid that can run.
        expansion: datasets of the grid.
        plan: states of all trials now.
        notes: findings before training.
        console: where progress and a failed report are shown.
        report: whether a report is wanted. One that fails, or that the user stops, is reported in one line: the
            trials count.
        ended: how the trials ended; None if none was run.
        submitted: number of trials that were run.
    """
    from benchmark.tools.floor import fill_floors

    store = selected.store
    written, table, warnings, floors = None, None, list[str](), 0
    best: list[Best] = []
    interrupted = ended is not None and ended.interrupted
    if report and not (interrupted and not plan.counts()["done"]):  # there is nothing to show
        try:
            if not interrupted:
                floors = fill_floors(requests, expansion.manifests, selected.cache, store.folder, console)
            new = submitted > 0 or floors > 0 or not (store.folder / "report").is_dir()
            written, table, warnings, best = _report(store, console, write=new)
        except (Exception, KeyboardInterrupt) as error:
            logger.info("the report failed", exc_info=True)
            again, where = command("report", "--results", store.folder), store.folder / "report"
            interrupted = interrupted or isinstance(error, KeyboardInterrupt)
            why = "interrupted" if isinstance(error, KeyboardInterrupt) else first_line(error)
            say(console, f"{where}: not written ({why}); the records are kept: `{again}` writes it")
    return RunResult(
        results=store.folder,
        counts={str(state): number for state, number in plan.counts().items()},
        submitted=submitted,
        failed=ended.failed if ended else 0,
        interrupted=interrupted,
        table=table,
        warnings=warnings,
        report=written,
        plan=plan,
        notes=notes,
        best=best,
        failures=read_failures(store, plan),
    )
