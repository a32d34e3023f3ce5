"""`export`: a trained model for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line
from benchmark.numerics import NUMERICS_VERSION
from benchmark.units import data_size

if TYPE_CHECKING:
    from benchmark.tools.export import Card
    from benchmark.tools.export.card import HuggingFaceFolder, Merged


def export(
    trial: Annotated[
        list[str],
        typer.Argument(
            metavar="TRIAL",
            help="Id of a trial, or its beginning (`status --trials` lists the ids); or backbone, dataset and method, "
            "of which the first seed's first fold is taken.",
        ),
    ],
    results: options.ResultsFolder,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; it must be new or empty.")],
    fold: Annotated[int | None, typer.Option(help="Only this fold.", show_default="the first")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this seed.", show_default="the first")] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also write the merged model as ONNX, compared with ONNX Runtime.")
    ] = False,
    with_frontend: Annotated[
        bool,
        typer.Option(
            "--with-frontend", help="Let the ONNX model begin with waveforms (16 kHz, mono) instead of filter banks."
        ),
    ] = False,
    form: Annotated[
        Literal["adapter", "hf"],
        typer.Option(
            "--format",
            help="adapter: the trained parameters; hf: the whole model for transformers, if it "
            "is a plain AST after merging.",
        ),
    ] = "adapter",
    checkpoints: options.Checkpoints = None,
    method: options.OutsideMethods = [],
    backbone: options.OutsideBackbones = [],
    json: options.Json = False,
) -> None:
    """Write what a trial trained (safetensors, JSON), and print sizes and the time of one clip on one CPU thread.

    The trial must have been run with --keep-weights. The weights are those of its last epoch.

    The backbone is not included: `predict` and `benchmark.load_export` join both. With --format hf the folder has the \
whole model instead, for transformers alone.

    Example: python -m benchmark export ast-demo folder:birds aat_ms --results OUT --out my-model
    """
    from benchmark.api.export import export as export_trial

    card = export_trial(
        trial,
        results=results,
        out=out,
        fold=fold,
        seed=seed,
        onnx=onnx,
        with_frontend=with_frontend,
        format=form,
        checkpoints=checkpoints,
        methods=method,
        backbones=backbone,
    )
    differ = card.numerics_version != NUMERICS_VERSION
    if json:
        print_json({"folder": out, "numerics_differ": differ, "card": card.model_dump(mode="json")})
        return
    _print(card)
    if differ:
        say_line(
            f"the trial has numerics version {card.numerics_version}, this code has {NUMERICS_VERSION}: the model may "
            "not compute the outputs that were scored"
        )
    say_line(f"wrote {out}")


def _print(card: Card) -> None:
    from tabulate import tabulate

    from benchmark.console import printable

    score = "no score" if card.score is None else f"{card.metric} {100 * card.score:.2f} %"
    say_line(f"{card.label}: {score} ({card.split}, epoch {card.epoch})")
    if card.marks:
        say_line(f"Not comparable with the paper: {'; '.join(card.marks)}.")
    if card.note:
        say_line(card.note)
    share = 100 * card.trainable / card.parameters
    rows = [("trained parameters", f"{card.trainable:,} of {card.parameters:,} ({share:.2f} %)")]
    if card.hugging_face:
        rows.append(("model.safetensors", f"{data_size(card.hugging_face.bytes)}: the whole model"))
        rows.append(_error(card.hugging_face))
    else:
        rows.append(("adapter.safetensors", data_size(card.adapter_bytes)))
        rows.append(("backbone, not included", f"{data_size(card.backbone.bytes)}: {card.backbone.variant}"))
    if card.onnx:
        size = f"{data_size(card.onnx.bytes)}, opset {card.onnx.opset}, from the {card.onnx.input} on"
        rows += [("model.onnx", size), _error(card.onnx)]
    for latency in card.latency:
        low, high = latency.quartiles
        rows.append((f"one clip, {latency.runtime}", f"{latency.median:.2f} ms (quartiles {low:.2f} to {high:.2f})"))
    safe = [[printable(cell) for cell in row] for row in rows]
    for line in tabulate(safe, tablefmt="plain", disable_numparse=True).splitlines():
        say_line(line)


def _error(compared: Merged | HuggingFaceFolder) -> tuple[str, str]:
    allowed = f"at most {compared.tolerance:.1e} allowed"
    return "largest error of a logit", f"{compared.largest_error:.1e} on {compared.inputs} clips, {allowed}"
