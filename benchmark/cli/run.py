"""`run`: train and evaluate a grid, then report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options
from benchmark.cli.report import print_report
from benchmark.errors import BenchmarkError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmark.planning.estimate import Estimate
    from benchmark.planning.plan import Plan
    from benchmark.records.store import ResultStore
    from benchmark.spec.request import TrialRequest

SOME_FAILED, INTERRUPTED = 3, 130


class Logger(StrEnum):
    """Where the curves also go."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"


class Rerun(StrEnum):
    """Trials that a run leaves alone unless asked."""

    FAILED = "failed"
    STALE = "stale"


def run(
    grid: options.GridName,
    data_root: options.DataRoot = options.DATA_ROOT,
    checkpoints: options.Checkpoints = None,
    results: options.ResultsFolder = None,
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
    shard: options.Shard = None,
    rerun: Annotated[
        list[Rerun],
        typer.Option(help="Also run trials that failed too often, or whose record is of other code."),
    ] = [],
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Run the trials whose data and checkpoint are there.")
    ] = False,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to use (`auto`, host:port); else one is started.")
    ] = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="Cores to use in all.", show_default="all")] = None,
    cpus_per_trial: options.CpusPerTrial = None,
    gpus_per_trial: options.GpusPerTrial = None,
    exclusive: Annotated[
        bool,
        typer.Option("--exclusive", help="One trial per device, in a fresh process: to measure time and memory."),
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(min=1, help="Seconds after which a trial is given up.", show_default="never")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time for this run, as 8h or 30min: only the trials that decide the most claims.",
            show_default="all trials",
        ),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write tables and figures at the end; `report` does it too.")
    ] = True,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Only algorithms that repeat bit for bit on a GPU; slower.")
    ] = False,
    keep_weights: Annotated[
        bool,
        typer.Option("--keep-weights", help="Keep what was trained, as it is at the end, beside the record; `export`."),
    ] = False,
    log: Annotated[
        list[Logger], typer.Option(help="Also write the curves for TensorBoard or MLflow, into RESULTS/logs.")
    ] = [],
) -> None:
    """Run a grid; what is finished already is not run again.

    Example: python -m benchmark run --grid quick --dataset esc50 --data-root DIR --results OUT

    Exit code: 0 all trials are finished, 2 wrong input, 3 some failed, 130 interrupted.
    """
    from rich.console import Console

    from benchmark.orchestrator.cache_warmup import prepare_audio
    from benchmark.orchestrator.run import run_trials
    from benchmark.planning.estimate import estimate_trials, machine_here
    from benchmark.planning.plan import make_plan
    from benchmark.spec.options import RunOptions

    chosen = options.select(
        grid, data_root, checkpoints, results, method, dataset, backbone, fold, seed, settings, protocol,
        cache, limit_clips, on_bad_audio, shard,
    )  # fmt: skip
    store = chosen.store
    if chosen.grid.synthesize:
        if data_root != options.DATA_ROOT:
            typer.echo(f"grid '{chosen.grid.name}' makes its own audio; --data-root is not read")
        with store.lock():
            _synthesize(chosen)
    expansion = chosen.expand()
    requests = expansion.runnable
    if missing := expansion.missing_inputs:
        if len(missing) == 1 and not requests:
            raise MissingInputError(missing[0])
        for line in missing:
            typer.echo(f"missing input: {line}", err=not skip_missing)
        if not skip_missing or not requests:
            rest = f", or run the {len(requests)} trials that need none of them with --skip-missing" if requests else ""
            raise MissingInputError(f"inputs of the grid are missing ({len(missing)}): get them{rest}")
        typer.echo(f"{len(expansion.requests) - len(requests)} of {len(expansion.requests)} trials are skipped")
    for line in expansion.skipped:
        typer.echo(f"skipped: {line}")
    plan = make_plan(requests, store)
    if keep_weights and (without := _without_weights(plan, rerun, store)):
        typer.echo(
            f"{without} finished trials kept no weights and are not run again: --keep-weights needs another --results"
        )
    with store.lock():
        store.submitted()  # a damaged list, or a folder that cannot be written, is told before hours of work
    if not plan.to_run(rerun):
        if report and not (store.folder / "report").is_dir():
            print_report(store, None)
        typer.echo(f"nothing to do: {_summary(plan, store.folder)}")
        raise typer.Exit(_exit_code(plan))
    how = RunOptions(
        chosen.data_root, chosen.cache, expansion.checkpoints, address, cpus, cpus_per_trial, gpus_per_trial, exclusive,
        timeout, deterministic, tuple(log), keep_weights,
    )  # fmt: skip
    to_run, console = plan.to_run(rerun), Console(highlight=False)
    estimates = estimate_trials(to_run, expansion, store, machine_here(cpus_per_trial), console)
    if budget is not None:
        to_run = _within(options.duration(budget), to_run, estimates, store, chosen.grid.protocol)
    prepare_audio(to_run, expansion.manifests, chosen.cache, console)
    with store.lock():
        store.submit(requests)
    ended = run_trials(to_run, estimates, store, how, before=plan.counts()["done"], console=console)
    plan = make_plan(requests, store)
    if report:
        print_report(store, None)
    typer.echo(f"{'interrupted: ' if ended.interrupted else ''}{_summary(plan, store.folder)}")
    raise typer.Exit(INTERRUPTED if ended.interrupted else SOME_FAILED if ended.failed else _exit_code(plan))


def _without_weights(plan: Plan, rerun: Sequence[Rerun], store: ResultStore) -> int:
    """How many trials are done, stay so, and kept no weights."""
    left = [entry.request for entry in plan.entries if entry.state in {"done", "stale"}]
    again = {request.id for request in plan.to_run(rerun)}
    return sum(each.id not in again and not store.weights_path(each).is_file() for each in left)


def _within(
    seconds: float, requests: list[TrialRequest], estimates: Mapping[str, Estimate], store: ResultStore, protocol: str
) -> list[TrialRequest]:
    """The trials that decide the most claims within the time, which is told with the claims that stay open."""
    from benchmark.planning.budget import choose
    from benchmark.planning.estimate import duration
    from benchmark.planning.packing import node_here, pack
    from benchmark.report.claims.judge import judge
    from benchmark.report.write import read_results

    with store.lock():
        store.submit(requests)
    evidence, node = read_results(store), node_here()
    cells = evidence.cells[evidence.cells["score"].notna() & (evidence.cells["protocol"] == protocol)]
    complete = set(zip(cells["backbone"], cells["dataset"], cells["method"], strict=True))
    claims = {each.id: each.needs for each in judge(evidence, protocol) if each.verdict == "not run" and each.needs}
    share = next(iter(pack([node], {"": 0}, None, None, exclusive=False).values()))
    at_once = node.gpus or share.slots([node])
    choice = choose(requests, estimates, claims, complete, seconds * at_once)
    typer.echo(
        f"budget: {len(choice.requests)} of {len(requests)} trials, about {duration(choice.seconds / at_once)}, decide "
        f"{len(choice.decided)} claims; {len(choice.open)} stay open: {', '.join(choice.open) or 'none'}"
    )
    if not choice.requests:
        raise BenchmarkError("--budget: the time is too short to decide any claim; `plan` says what trials take")
    return choice.requests


def _synthesize(chosen: options.Selection) -> None:
    from benchmark.data.dataset import Synthesizable
    from benchmark.data.registry import get_dataset

    grid = chosen.grid
    if not isinstance(grid.datasets, list):
        raise BenchmarkError(f"{grid.origin}: synthesize needs a list of datasets")
    for name in grid.datasets:
        dataset = get_dataset(name, grid.origin)
        wanted = grid.synthesis(name)
        if not isinstance(dataset, Synthesizable) or wanted is None:
            raise BenchmarkError(f"{grid.origin}: {name} cannot be synthesized")
        dataset.synthesize(chosen.data_root, **wanted.model_dump())


def _summary(plan: Plan, folder: Path) -> str:
    """Counts, where the results are, and how to run what a run leaves alone."""
    counts = plan.counts()
    text = ", ".join(f"{number} {state}" for state, number in counts.items() if number or state == "done")
    left = {entry.state for entry in plan.entries if entry.state in list(Rerun)} - {
        entry.state for entry in plan.entries if entry.request in plan.to_run()
    }
    hints = [f"--rerun {state} runs the {state} again" for state in sorted(left)]
    return "; ".join([text, *hints, f"results in {folder}"])


def _exit_code(plan: Plan) -> int:
    counts = plan.counts()
    return SOME_FAILED if counts["failed"] or counts["missing"] else 0
