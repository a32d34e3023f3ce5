"""`checkpoint inspect|verify|convert|fetch`."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options

if TYPE_CHECKING:
    from benchmark.spec.backbone import BackboneChoice

app = typer.Typer(help="Look at, check, convert and fetch pre-trained checkpoints.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="Checkpoint file, or a Hugging Face folder.")]


@app.command()
def inspect(path: File, json: options.Json = False) -> None:
    """Print format, size, grid and sha256.

    Example: python -m benchmark checkpoint inspect audioset_10_10_0.4593.pth
    """
    from benchmark.tools.checkpoints import describe

    found = describe(path)
    if json:
        typer.echo(jsonlib.dumps(found, indent=1))
        return
    for key, value in found.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        shown = ", ".join(shown) if isinstance(shown, list) else shown
        typer.echo(f"{key:20} {shown}")


@app.command()
def verify(
    what: Annotated[str, typer.Argument(help="A declared backbone, or a checkpoint file.")],
    checkpoints: options.Checkpoints = None,
) -> None:
    """Check hash, tensors and a forward pass.

    Example: python -m benchmark checkpoint verify ast
    """
    from benchmark.models.weights import locate
    from benchmark.spec.backbone import load_backbone
    from benchmark.tools.checkpoints import verify as check

    choice = _declared(what)
    if choice is None:
        typer.echo(check(Path(what), None))
        return
    _, path = locate(choice, _folder(checkpoints))
    assert path is not None
    typer.echo(check(path, load_backbone(choice.name).checkpoints[choice.size]))


@app.command()
def convert(
    path: File,
    target: Annotated[Path, typer.Argument(help="File to write, .safetensors.")],
    half: Annotated[bool, typer.Option("--half", help="Store in half precision.")] = False,
) -> None:
    """Write a checkpoint in this suite's own format: the backbone as safetensors, its geometry in the metadata.

    Example: python -m benchmark checkpoint convert SSAST-Tiny-Patch-400.pth ssast-tiny.safetensors
    """
    from benchmark.errors import BenchmarkError
    from benchmark.models.checkpoint import read_checkpoint, save_checkpoint

    if target.suffix != ".safetensors":
        raise BenchmarkError(f"{target}: the name must end in .safetensors")
    save_checkpoint(read_checkpoint(path), target, half=half)
    typer.echo(f"wrote {target}")


@app.command()
def fetch(
    backbones: Annotated[list[str], typer.Argument(help="Declared backbones, e.g. ast 'ssast[size=tiny]'.")],
    checkpoints: options.Checkpoints = None,
) -> None:
    """Download declared checkpoints from their published addresses; an interrupted download is continued.

    Example: python -m benchmark checkpoint fetch ast ssast
    """
    from rich.console import Console

    from benchmark.errors import BenchmarkError
    from benchmark.models.weights import digest
    from benchmark.tools.checkpoints import fetch_backbone

    for name in backbones:
        choice = _declared(name)
        if choice is None:
            raise BenchmarkError(f"{name}: no declared backbone with published weights (see `list backbones`)")
        path = fetch_backbone(choice, _folder(checkpoints), Console(stderr=True))
        typer.echo(f"{name}: {path}, sha256 {digest(path)}")


def _declared(text: str) -> BackboneChoice | None:
    """The backbone that a text names, None where it is the path of a file."""
    from benchmark.spec.backbone import resolve_backbones

    if Path(text).exists() or Path(text).suffix:
        return None
    [choice] = resolve_backbones(text, "checkpoint")
    return choice if choice.weights == "pretrained" else None


def _folder(given: Path | None) -> Path:
    from benchmark.models.weights import default_folder

    return given or default_folder()
