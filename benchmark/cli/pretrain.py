"""`pretrain`: train a backbone on audio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.spec.names import Objective, Size

CHECKED = "python -m benchmark checkpoint verify"


def pretrain(
    objective: Annotated[
        Objective,
        typer.Option(help="supervised: tagging, as AST; ssast: masked patches told apart and reconstructed, as SSAST."),
    ],
    audio: Annotated[
        Path,
        typer.Option(
            help="Folder of audio. supervised: `clips.csv`, or a folder a class, as for folder:NAME; ssast: all files "
            "below it, no labels needed.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The checkpoint to write; a report stands beside it as .json.")],
    size: Annotated[Size, typer.Option(help="Of the Transformer.")] = "base",
    frames: Annotated[int, typer.Option(min=16, help="Length of a clip, 10 ms each; longer ones are cut.")] = 1024,
    stride: Annotated[
        int | None,
        typer.Option(min=1, max=16, help="Of the patches, in bands and frames.", show_default="AST 10, SSAST 16"),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the audio.")] = 10,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Clips of a step.")] = 24,
    lr: Annotated[
        float | None,
        typer.Option(min=1e-9, max=1, help="Highest learning rate.", show_default="AST 1e-5, SSAST 1e-4"),
    ] = None,
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
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and masks.")] = 0,
    cache: options.CacheFolder = None,
    device: options.Device = None,
) -> None:
    """Train a Transformer on your own audio, and write a checkpoint that `ast[weights=FILE]` or `ssast[...]` takes.

    Official sizes with the official stride are written in the authors' format, others in this suite's own at half
    precision. One clip in twenty, or the split `test` of a labelled folder, is held out and measured after every epoch.
    The same call continues an interrupted one from its last epoch.

    Example: python -m benchmark pretrain --objective ssast --audio DIR --size tiny --out my-ssast.pth
    """
    import torch
    from rich.console import Console

    from benchmark.console import counting
    from benchmark.data.parallel import usable_cores
    from benchmark.errors import BenchmarkError
    from benchmark.models.weights import default_folder
    from benchmark.spec.pretraining import OFFICIAL, Pretraining
    from benchmark.spec.yaml import validate
    from benchmark.tools.pretrain.audio import read_audio
    from benchmark.tools.pretrain.objectives import model_config
    from benchmark.tools.pretrain.run import make_course
    from benchmark.tools.pretrain.run import pretrain as train

    chosen = torch.device(options.choose_device(device))
    if out.exists():
        raise BenchmarkError(f"{out}: is there already; remove it to train anew")
    if out.parent.exists() and not out.parent.is_dir():
        raise BenchmarkError(f"{out.parent}: is no folder")
    supervised, official = objective == "supervised", OFFICIAL[objective]
    steps = (stride, stride) if stride else official.stride
    if not supervised and steps != official.stride:
        raise BenchmarkError("--stride: the masked patches of ssast must not overlap, their stride is 16")
    torch.set_num_threads(usable_cores())
    with counting(Console(stderr=True, highlight=False)) as tell:
        found = read_audio(audio, objective, frames, options.cache_folder(cache, default_folder()), tell)
        for line in found.left_out:
            typer.echo(f"left out: {line}")
        values = {
            "objective": objective,
            "size": size,
            "frames": frames,
            "stride": steps,
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": lr or official.lr,
            "weight_decay": 5e-7,
            "freq_mask": official.freq_mask if freq_mask is None else freq_mask,
            "time_mask": frames * official.time_mask // 1024 if time_mask is None else min(time_mask, frames),
            "seed": seed,
            "mean": round(found.level.mean, 4),
            "std": round(found.level.std, 4),
            "classes": len(found.manifest.info.classes) if supervised else 0,
            "clips": found.counts,
            "audio": found.manifest.digest,
        }
        run = validate(Pretraining, values, "pretrain")
        patches = " x ".join(map(str, model_config(run).grid))
        typer.echo(
            f"{objective}, {size}: {run.clips['training']} clips, {run.clips['held out']} held out, "
            f"{patches} patches; mean {run.mean}, std {run.std}"
        )
        report = train(
            run, make_course(run, found, chosen), out, multi_label=found.manifest.info.multi_label, device=chosen,
            tell=tell, told=_print,
        )  # fmt: skip
    name = "ast" if supervised else "ssast"
    typer.echo(f"{out}: sha256 {report['sha256']}")
    typer.echo(
        f"use it as --backbone '{name}[size={size};weights={out}]' with recipe.mean={run.mean} and "
        f"recipe.std={run.std} for audio of its kind; look at it with `{CHECKED} {out}`"
    )


def _print(values: dict[str, float]) -> None:
    number = int(values["epoch"])
    rest = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in values.items() if name != "epoch")
    typer.echo(f"epoch {number}: {rest}")
