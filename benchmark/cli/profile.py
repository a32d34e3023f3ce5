"""`profile`: time and memory of a grid's training steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.planning.expand import Expansion
    from benchmark.records.schema import StepProfile
    from benchmark.records.store import ResultStore
    from benchmark.spec.request import TrialRequest


def profile(
    grid: options.GridName,
    data_root: options.DataRoot = options.DATA_ROOT,
    results: options.ResultsFolder = None,
    method: options.Methods = [],
    dataset: options.Datasets = [],
    backbone: options.Backbones = [],
    settings: options.Settings = [],
    protocol: options.ProtocolName = None,
    steps: Annotated[int, typer.Option(min=0, help="Steps to time; 0 only counts.")] = 10,
    seconds: Annotated[float, typer.Option(min=0, help="Time fewer steps than that where they take longer.")] = 60,
    clips: Annotated[
        int | None, typer.Option(min=1, help="Clips of a timed step.", show_default="the recipe's batch size")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.", show_default="all cores")] = None,
    device: options.Device = None,
    json: options.Json = False,
) -> None:
    """Measure training steps at a grid's true shapes, with random weights and random input: no data, no weights.

    Prints, for each dataset, method and size of backbone: operations per clip (multiply-adds count as two),
    activations kept for the backward pass, seconds a step, clips a second, peak memory. The files stay in
    RESULTS/profiles, where `plan` and `report` find them. Each step runs in a process of its own.

    Example: python -m benchmark profile --grid paper --results OUT
    """
    import json as jsonlib

    from rich.console import Console

    from benchmark.data.parallel import usable_cores

    where = options.choose_device(device)
    chosen = options.select(grid, data_root, None, results, method, dataset, backbone, [], [], settings, protocol)
    expansion = chosen.expand()
    found = profile_shapes(
        expansion.requests, expansion, chosen.store, Console(stderr=json, highlight=False),
        device=where, threads=threads or usable_cores(),
        steps=steps, seconds=seconds, clips=clips,
    )  # fmt: skip
    if json:
        typer.echo(jsonlib.dumps([each.model_dump(mode="json") for each in found], indent=1))
    else:
        typer.echo(f"profiles: {chosen.store.folder / 'profiles'}")


def profile_shapes(
    requests: Sequence[TrialRequest],
    expansion: Expansion,
    store: ResultStore,
    console: Console,
    *,
    device: str,
    threads: int,
    steps: int,
    seconds: float,
    clips: int | None,
    identity: tuple[str, ...] = (),
) -> list[StepProfile]:
    """Profile every step shape of the requests into the store, a line each."""
    from benchmark.trial.profile import How, profile_steps, shapes

    todo, found = shapes(requests), []
    classes = {name: len(info.classes) for name, info in expansion.info.items()}
    with store.lock():  # a folder that cannot be written is told before the work
        pass
    how = How(device, threads, steps, seconds, clips, identity)
    for each in profile_steps(todo, classes, how):
        store.write_profile(each)
        found.append(each)
        console.print(f"[{len(found)}/{len(todo)}] {_text(each)}", markup=False, soft_wrap=True)
    return found


def _text(profile: StepProfile) -> str:
    cost, request = profile.cost, profile.request
    text = (
        f"{request.dataset.name} {request.method.variant} ({request.backbone.size}): "
        f"{cost.train_flops / 1e9:.2f} GFLOPs/clip, {cost.saved_bytes / 2**20:.0f} MiB for backward"
    )
    if profile.step_seconds:
        text += f", {profile.step_seconds:.3g} s/step of {profile.clips} clips"
        text += f", {profile.clips / profile.step_seconds:.3g} clips/s"
    if profile.gpu_allocated_bytes:
        text += f", peak {profile.gpu_allocated_bytes / 2**20:.0f} MiB"
    return f"{text}, {profile.status}: {profile.error}" if profile.error else text
