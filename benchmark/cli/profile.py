"""`profile`: time and memory of a grid's training steps."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line, stderr_console, stdout_console


def profile(
    grid: options.GridName,
    data_root: options.DataRoot = options.DATA_ROOT,
    results: options.GridResults = None,
    method: options.Methods = [],
    dataset: options.Datasets = [],
    backbone: options.Backbones = [],
    settings: options.Settings = [],
    protocol: options.ProtocolName = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=0, help="Number of steps to time; 0 only counts.", show_default="10", rich_help_panel=options.MACHINE
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Time fewer steps if they take longer than this; with --sharing, seconds of training for each number.",
            show_default="60; with --sharing 5",
            rich_help_panel=options.MACHINE,
        ),
    ] = None,
    clips: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Clips of a timed step.",
            show_default="the recipe's batch size",
            rich_help_panel=options.MACHINE,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="CPU threads; with --sharing, cores that the processes divide.",
            show_default="those of one trial; with --sharing, the cores of one GPU or of the machine",
            rich_help_panel=options.MACHINE,
        ),
    ] = None,
    device: options.Device = None,
    compile: options.Compile = False,
    checkpointing: options.Checkpointing = False,
    sharing: Annotated[
        list[str],
        typer.Option(
            help="Numbers of trials to train at once, such as 1,2,4,8, in place of single steps.",
            rich_help_panel=options.MACHINE,
        ),
    ] = [],
    mps: Annotated[
        bool,
        typer.Option(
            "--mps",
            help="With --sharing: start NVIDIA's Multi-Process Service for the measurement.",
            rich_help_panel=options.MACHINE,
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Measure training steps at a grid's true shapes, with random weights and random input: no data, no weights.

    Prints, for each dataset, method and size of backbone: operations per clip (a multiply-add counts as two),
    memory kept for the backward pass, seconds per step, clips per second, peak memory. The files stay in
    RESULTS/profiles, where `plan` and `report` find them. Each timed step runs in a process of its own.

    --sharing trains several processes at once and prints the clips per second of all together (by default of AAT-MS on
    Speech Commands V2). `plan` and `run` then let as many trials share such a GPU as train the most. On a CPU, the
    processes divide the cores, and the numbers change no plan.

    Example: python -m benchmark profile --grid paper --results OUT

    Example: python -m benchmark profile --grid paper --results OUT --sharing 1,2,4,8
    """
    from benchmark.api.profile import profile as profile_grid

    found = profile_grid(
        grid,
        methods=method,
        datasets=dataset,
        backbones=backbone,
        settings=settings,
        protocol=protocol,
        data_root=data_root,
        results=results,
        steps=steps,
        seconds=seconds,
        clips=clips,
        threads=threads,
        device=device,
        compile=compile,
        checkpointing=checkpointing,
        sharing=sharing or None,
        mps=mps,
        console=stderr_console() if json else stdout_console(),
    )
    if json:
        print_json([each.model_dump(mode="json") for each in [*found.profiles, *found.sharing]])
    else:
        say_line(f"profiles: {found.folder}")
