"""`export`: a trained model for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options
from benchmark.numerics import NUMERICS_VERSION

if TYPE_CHECKING:
    from benchmark.tools.export import Card


def export(
    trial: Annotated[str, typer.Argument(help="A trial's id, or how it begins; `status` lists them.")],
    results: Annotated[Path, typer.Option("--results", help="Results folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; a new or an empty one.")],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also write the merged model as ONNX, checked against ONNX Runtime.")
    ] = False,
    checkpoints: options.Checkpoints = None,
    method: Annotated[
        list[str], typer.Option("--method", help="File of a method from outside the suite, as it was given to `run`.")
    ] = [],
) -> None:
    """Write what a trial trained (safetensors, JSON), and print sizes and the time of one clip on one CPU thread.

    The trial must have been run with --keep-weights; these are the weights at its end. The backbone stays outside:
    `benchmark.load_export` puts both together again.

    Example: python -m benchmark export 1b72baf7ed8d --results OUT --out my-model --onnx
    """
    from benchmark.records.store import ResultStore
    from benchmark.tools.export import export_trial

    card = export_trial(ResultStore(results), trial, out, onnx=onnx, checkpoints=checkpoints, methods=method)
    _print(card)
    if card.numerics_version != NUMERICS_VERSION:
        typer.echo(
            f"the trial is of numerics version {card.numerics_version}, this code of {NUMERICS_VERSION}: the model may "
            "not compute what its score says"
        )
    typer.echo(f"wrote {out}")


def _print(card: Card) -> None:
    from tabulate import tabulate

    score = "no score" if card.score is None else f"{card.metric} {100 * card.score:.2f} %"
    typer.echo(f"{card.label}: {score} ({card.split}, epoch {card.epoch})")
    if card.marks:
        typer.echo(f"Not comparable with the paper: {'; '.join(card.marks)}.")
    if card.note:
        typer.echo(card.note)
    share = 100 * card.trainable / card.parameters
    rows = [
        ("trained parameters", f"{card.trainable:,} of {card.parameters:,} ({share:.2f} %)"),
        ("adapter.safetensors", _megabytes(card.adapter_bytes)),
        ("backbone, not included", f"{_megabytes(card.backbone.bytes)}: {card.backbone.variant}"),
    ]
    if card.onnx:
        rows.append(("model.onnx", f"{_megabytes(card.onnx.bytes)}, opset {card.onnx.opset}"))
        error = f"{card.onnx.largest_error:.1e} on {card.onnx.inputs} clips, at most {card.onnx.tolerance:.1e} allowed"
        rows.append(("largest error of a logit", error))
    for each in card.latency:
        low, high = each.quartiles
        rows.append((f"one clip, {each.runtime}", f"{each.median:.2f} ms (quartiles {low:.2f} to {high:.2f})"))
    typer.echo(tabulate(rows, tablefmt="plain", disable_numparse=True))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3f} MB"
