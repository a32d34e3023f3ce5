"""`checkpoint inspect|verify|convert|fetch`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line, stderr_console

app = typer.Typer(help="Inspect, check, convert and fetch pre-trained checkpoints.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="Checkpoint file, or a Hugging Face folder.")]
Stride = Annotated[int | None, typer.Option(help="Patch stride of pre-training, if the file does not show it.")]
Mels = Annotated[int | None, typer.Option(help="Mel bands of pre-training, if the file does not show them.")]
Heads = Annotated[int | None, typer.Option(help="Attention heads, if the file does not show them.")]


@app.command()
def inspect(
    path: File, stride: Stride = None, mels: Mels = None, heads: Heads = None, json: options.Json = False
) -> None:
    """Print format, size, patch grid and sha256.

    Example: python -m benchmark checkpoint inspect audioset_10_10_0.4593.pth
    """
    from benchmark.spec.backbone import Stated
    from benchmark.tools.checkpoints import describe

    found = describe(path, Stated(stride=stride, mels=mels, heads=heads))
    if json:
        print_json(found)
        return
    for key, value in found.items():
        if value is None or value in ("", [], ()):
            continue
        shown = ", ".join(f"{name} {number}" for name, number in value.items()) if isinstance(value, dict) else value
        shown = ", ".join(map(str, shown)) if isinstance(shown, (list, tuple)) else shown
        say_line(f"{key:20} {shown}")


@app.command()
def verify(
    what: Annotated[str, typer.Argument(help="A declared backbone, or a checkpoint file.")],
    checkpoints: options.Checkpoints = None,
    stride: Stride = None,
    mels: Mels = None,
    heads: Heads = None,
    json: options.Json = False,
) -> None:
    """Check hash, tensors and a forward pass.

    Example: python -m benchmark checkpoint verify ast
    """
    from benchmark.api.checkpoint import verify_checkpoint

    found = verify_checkpoint(what, checkpoints, stride=stride, mels=mels, heads=heads)
    if json:
        print_json({"checkpoint": what, "found": found})
    else:
        say_line(found)


@app.command()
def convert(
    path: File,
    target: Annotated[Path, typer.Argument(help="File to write, .safetensors.")],
    half: Annotated[bool, typer.Option("--half", help="Store in half precision.")] = False,
    stride: Stride = None,
    mels: Mels = None,
    heads: Heads = None,
    json: options.Json = False,
) -> None:
    """Write a checkpoint in this suite's format: the backbone as safetensors, its geometry in the metadata.

    Example: python -m benchmark checkpoint convert SSAST-Tiny-Patch-400.pth ssast-tiny.safetensors
    """
    from benchmark.api.checkpoint import convert_checkpoint

    converted = convert_checkpoint(path, target, half=half, stride=stride, mels=mels, heads=heads)
    if json:
        print_json(dataclasses.asdict(converted))
    else:
        say_line(f"wrote {target}")


@app.command()
def fetch(
    backbones: Annotated[
        list[str],
        typer.Argument(help="Backbones, e.g. ast 'ssast\\[size=tiny]' 'ast\\[weights=hf:OWNER/NAME@REVISION]'."),
    ],
    checkpoints: options.Checkpoints = None,
    json: options.Json = False,
) -> None:
    """Download checkpoints from their published addresses or the hub; an interrupted download is continued.

    Example: python -m benchmark checkpoint fetch ast ssast
    """
    from benchmark.api.checkpoint import fetch_checkpoints

    fetched = []
    for checkpoint in fetch_checkpoints(backbones, checkpoints, console=stderr_console()):
        fetched.append(dataclasses.asdict(checkpoint))
        if not json:
            say_line(f"{checkpoint.backbone}: {checkpoint.path}, sha256 {checkpoint.sha256}")
    if json:
        print_json(fetched)
