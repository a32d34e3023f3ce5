"""`pretrain`: train a backbone on audio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line, stderr_console, stdout_console
from benchmark.commands import command
from benchmark.spec.choices import Objective, Optimizer, Size


def pretrain(
    objective: Annotated[
        Objective,
        typer.Option(
            help="supervised: tagging, as AST; ssast: masked-patch classification and reconstruction, as SSAST."
        ),
    ],
    audio: Annotated[
        Path,
        typer.Option(
            help="Folder of audio. supervised: with `clips.csv` or one folder per class, as for folder:NAME; ssast: "
            "all files below it, no labels needed.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Checkpoint to write; a report is written beside it as .json.")],
    size: Annotated[Size, typer.Option(help="Size of the Transformer.")] = "base",
    frames: Annotated[
        int, typer.Option(min=16, help="Length of a clip in frames of 10 ms; longer clips are cut.")
    ] = 1024,
    stride: Annotated[
        int | None,
        typer.Option(
            min=1, max=16, help="Stride of the patches, in bands and frames.", show_default="AST 10, SSAST 16"
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the audio.")] = 10,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Clips per step.")] = 24,
    lr: Annotated[
        float | None,
        typer.Option(min=1e-9, max=1, help="Highest learning rate.", show_default="AST 1e-5, SSAST 1e-4"),
    ] = None,
    optimizer: Annotated[
        Optimizer, typer.Option(help="adam, as AST and SSAST; muon needs fewer steps, with a --lr of about 2e-3.")
    ] = "adam",
    freq_mask: Annotated[
        int | None,
        typer.Option(
            "--freq-mask", min=0, max=128, help="SpecAugment: most mel bands.", show_default="AST 48, SSAST 0"
        ),
    ] = None,
    time_mask: Annotated[
        int | None,
        typer.Option("--time-mask", min=0, help="SpecAugment: most frames.", show_default="AST 192 of 1024, SSAST 0"),
    ] = None,
    patchout: Annotated[
        float,
        typer.Option(
            min=0, max=0.95, help="Share of the patches that each step leaves out, as PaSST; for supervised. Faster."
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, order and masks.")] = 0,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint to start from, of the same size: a file or a folder.", show_default="random weights"
        ),
    ] = None,
    cache: options.CacheFolder = None,
    device: options.Device = None,
    json: options.Json = False,
) -> None:
    """Train a Transformer on your own audio, and write a checkpoint that --backbone takes as weights=FILE.

    Official sizes with the official stride are written in the authors' format, others in this suite's format at half
    precision. One clip in twenty, or the split `test` of a labelled folder, is held out and measured after every epoch.
    The same call continues an interrupted one from its last epoch.

    Example: python -m benchmark pretrain --objective ssast --audio DIR --size tiny --out my-ssast.pth
    """
    from benchmark.api.pretrain import pretrain as train

    trained = train(
        objective,
        audio,
        out,
        size=size,
        frames=frames,
        stride=stride,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        optimizer=optimizer,
        freq_mask=freq_mask,
        time_mask=time_mask,
        patchout=patchout,
        seed=seed,
        init=init,
        cache=cache,
        device=device,
        console=stderr_console() if json else stdout_console(),
        progress_console=stderr_console(),
    )
    if json:
        print_json(trained.as_dict())
        return
    say_line(f"{out}: sha256 {trained.sha256}")
    level = [word for key in ("mean", "std") for word in ("--set", f"recipe.{key}={getattr(trained.run, key)}")]
    say_line(f"check it:  {command('checkpoint', 'verify', out)}")
    say_line(f"use it:    {command('run', '--grid', 'quick', '--backbone', trained.backbone, *level)}")
