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
    trial: Annotated[str, typer.Argument(help="Id of a trial, or its beginning; `status` lists the ids.")],
    results: options.ResultsFolder,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; it must be new or empty.")],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also write the merged model as ONNX, compared with ONNX Runtime.")
    ] = False,
    checkpoints: options.Checkpoints = None,
    method: Annotated[
        list[str],
        typer.Option("--method", help="File of a method from outside the suite, as it was given to `run`."),
    ] = [],
    backbone: Annotated[
        list[str],
        typer.Option("--backbone", help="File of a backbone from outside the suite, as it was given to `run`."),
    ] = [],
) -> None:
    """Write what a trial trained (safetensors, JSON), and print sizes and the time of one clip on one CPU thread.

    The trial must have been run with --keep-weights. The weights are those of its last epoch. The backbone is not
    included: `benchmark.load_export` joins both.

    Example: python -m benchmark export 1b72baf7ed8d --results OUT --out my-model --onnx
    """
    from benchmark.api.export import export as export_trial

    card = export_trial(
        trial, results=results, out=out, onnx=onnx, checkpoints=checkpoints, methods=method, backbones=backbone
    )
    _print(card)
    if card.numerics_version != NUMERICS_VERSION:
        typer.echo(
            f"the trial has numerics version {card.numerics_version}, this code has {NUMERICS_VERSION}: the model may "
            "not compute the outputs that were scored"
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
    for latency in card.latency:
        low, high = latency.quartiles
        rows.append((f"one clip, {latency.runtime}", f"{latency.median:.2f} ms (quartiles {low:.2f} to {high:.2f})"))
    typer.echo(tabulate(rows, tablefmt="plain", disable_numparse=True))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3f} MB"
