"""`plan`: what a run would do, and what it would cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import options
from benchmark.cli.profile import profile_shapes
from benchmark.cli.status import as_json, counts_line, trial_line

if TYPE_CHECKING:
    from benchmark.planning.estimate import Estimate

CALIBRATION_CLIPS, CALIBRATION_STEPS, CALIBRATION_SECONDS = 8, 3, 20.0  # of each step shape, on a CPU


def plan(
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
    cpus_per_trial: options.CpusPerTrial = None,
    gpus_per_trial: options.GpusPerTrial = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="First time a few steps of every shape that was not timed here yet.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Print the trials of a grid, how many are done, stale, failed and missing, what input is missing, and the cost.

    The cost is that of the trials that a run would submit: time and memory on this machine, by counted operations;
    by measured steps where `profile` or --calibrate made some; by finished records where there are some. `by` says
    which.

    Example: python -m benchmark plan --grid quick --data-root DIR
    """
    import json as jsonlib

    from rich.console import Console

    from benchmark.planning.estimate import estimate_trials, machine_here, total
    from benchmark.planning.packing import node_here, pack
    from benchmark.planning.plan import make_plan

    chosen = options.select(
        grid, data_root, checkpoints, results, method, dataset, backbone, fold, seed, settings, protocol,
        cache, limit_clips, on_bad_audio, shard,
    )  # fmt: skip
    expansion, store, console = chosen.expand(), chosen.store, Console(stderr=True, highlight=False)
    missing = expansion.missing_inputs
    if chosen.grid.synthesize:
        missing = [f"{line.partition(':')[0]}: synthetic audio, which `run` makes" for line in missing]
    made = make_plan(expansion.requests, store)
    to_run, machine = made.to_run(), machine_here(cpus_per_trial)
    if calibrate:
        known = {
            each.request.step_key
            for each in store.profiles()
            if (each.device, each.threads) == (machine.device, machine.threads) and each.step_seconds
        }
        new = [request for request in to_run if request.step_key not in known]
        profile_shapes(
            new, expansion, store, console, device="cpu" if machine.device == "cpu" else "cuda",
            threads=machine.threads, steps=CALIBRATION_STEPS, seconds=CALIBRATION_SECONDS,
            clips=CALIBRATION_CLIPS if machine.device == "cpu" else None,
        )  # fmt: skip
    estimates = estimate_trials(to_run, expansion, store, machine, console)
    node = node_here()
    memory = {name: each.memory_bytes for name, each in estimates.items()}
    shares = pack([node], memory, cpus_per_trial, gpus_per_trial, exclusive=False) if memory else {}
    totals = total(estimates, shares, node)
    if json:
        content = as_json(made, missing, store.folder)
        content["trials"] = [{**trial, **_cost(estimates.get(trial["id"]))} for trial in content["trials"]]
        content["skipped"] = expansion.skipped
        content["cost"] = {"device": machine.device, "threads": machine.threads, **totals.as_dict()}
        typer.echo(jsonlib.dumps(content, indent=1))
        return
    for entry in made.entries:
        estimate = estimates.get(entry.request.id)
        typer.echo(trial_line(entry) + (f"  {_text(estimate)}" if estimate else ""))
    for line in missing:
        typer.echo(f"missing input: {line}")
    for line in expansion.skipped:
        typer.echo(f"skipped: {line}")
    typer.echo(counts_line(made, store.folder))
    if estimates:
        typer.echo(f"cost of the {len(estimates)} to run on {machine.device}: {totals.text()}")


def _cost(estimate: Estimate | None) -> dict[str, Any]:
    if estimate is None:
        return {}
    return {
        "seconds": estimate.seconds,
        "by": estimate.source,
        "flops": estimate.flops,
        "memory_bytes": estimate.memory_bytes,
        "checkpoint_bytes": estimate.checkpoint_bytes,
        "record_bytes": estimate.record_bytes,
    }


def _text(estimate: Estimate) -> str:
    from benchmark.planning.estimate import duration, gigabytes

    return f"{duration(estimate.seconds)} by {estimate.source}, {gigabytes(estimate.memory_bytes)}"
