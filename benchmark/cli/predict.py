"""`predict`: labels of sounds, from a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, stderr_console, stdout_console
from benchmark.units import plural

if TYPE_CHECKING:
    from benchmark.api.predict import Predictions

SOME_UNREADABLE = 3  # exit code


def predict(
    model: Annotated[Path, typer.Argument(help="Folder that `export` wrote.")],
    sounds: Annotated[list[Path], typer.Argument(help="Audio files, or folders with audio below them.")],
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write a table, one row per file.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Classes per file that are shown.")] = 3,
    embeddings: Annotated[
        Path | None,
        typer.Option("--embeddings", help="Also write what the model's head reads (.npz: `paths`, `embeddings`)."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            min=0,
            max=1,
            help="Score from which a label is given, where a sound can have several.",
            show_default="0.5",
        ),
    ] = None,
    checkpoints: options.Checkpoints = None,
    method: options.OutsideMethods = [],
    backbone: options.OutsideBackbones = [],
    device: options.Device = None,
    json: options.Json = False,
) -> None:
    """Label sounds with a trained model: decoding, front end and class names are those of its training.

    Files that cannot be read are named on stderr, the others are labelled, and the exit code is 3.

    Example: python -m benchmark predict my-model recordings --csv labels.csv
    """
    from benchmark.api.predict import predict as label
    from benchmark.console import counting, say

    errors = stderr_console()
    with counting(errors) as progress:
        labelled = label(
            model,
            sounds,
            csv=csv,
            top=top,
            embeddings=embeddings,
            threshold=threshold,
            checkpoints=checkpoints,
            methods=method,
            backbones=backbone,
            device=device,
            progress=progress,
        )
    for path, reason in labelled.unreadable.items():
        say(errors, f"cannot be read: {path}: {reason}")
    if json:
        print_json(labelled.rows(top))
    elif labelled.found:
        _print(labelled, top, [path for path in (csv, embeddings) if path is not None])
    if labelled.unreadable:
        raise typer.Exit(SOME_UNREADABLE)


def _print(labelled: Predictions, top: int, written: list[Path]) -> None:
    """Print a line per file, then how scores and labels are meant, then the files that were written."""
    from tabulate import tabulate

    from benchmark.console import printable, say

    console, several = stdout_console(), labelled.threshold is not None
    rows = []
    for prediction in labelled.found:
        scores = ", ".join(f"{name} {100 * score:.1f} %" for name, score in prediction.top(top))
        cells = [prediction.path, *([" + ".join(prediction.labels) or "-"] if several else []), scores]
        rows.append(list(map(printable, cells)))
    headers = ["file", *(["labels"] if several else []), "scores"]
    for line in tabulate(rows, headers, tablefmt="plain", disable_numparse=True).splitlines():
        say(console, line)
    rule = f"; labels: scores of at least {labelled.threshold:g}" if several else ""
    say(console, f"{plural(len(labelled.found), 'file')} labelled; scores: {labelled.score} of the logits{rule}")
    for path in written:
        say(console, f"wrote {path}")
