"""A trained model for use elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from benchmark.api.arguments import checked
from benchmark.api.folders import checkpoint_folder
from benchmark.api.selection import texts
from benchmark.errors import ArgumentError

if TYPE_CHECKING:
    from benchmark.tools.export import Card

Format = Literal["adapter", "hf"]
FORMATS = get_args(Format)


@checked
def export(
    trial: str | Sequence[str],
    *,
    results: str | Path,
    out: str | Path,
    fold: int | None = None,
    seed: int | None = None,
    onnx: bool = False,
    with_frontend: bool = False,
    format: Format = "adapter",
    checkpoints: str | Path | None = None,
    methods: str | Iterable[str] = (),
    backbones: str | Iterable[str] = (),
) -> Card:
    """Write what a trial trained, its description, and if wanted the merged model as ONNX.

    The trial must have been run with `keep_weights=True`. The backbone is not included: `load_export` joins both. With
    `format="hf"` the folder has the whole model for transformers instead, if the model is a plain AST after merging.

    Args:
        trial: id of the trial, or the beginning of it; `status --trials` lists the ids. Or backbone, dataset and
            method: `["ast-demo", "folder:birds", "aat_ms"]`, of which the first seed's first fold is taken.
        results: results folder.
        out: folder to write, which must be new or empty.
        fold: only this fold.
        seed: only this seed.
        onnx: also write the merged model as ONNX, compared with ONNX Runtime.
        with_frontend: let the ONNX model begin with waveforms (B, samples) at 16 kHz.
        format: `adapter`: the trained parameters; `hf`: a folder for `transformers.ASTForAudioClassification`.
        checkpoints: folder of pre-trained checkpoints; None for the default one.
        methods: files of methods from outside the suite, as they were given to `run`.
        backbones: the same of backbones.

    Returns:
        The content of `adapter.json`: score, sizes in bytes, the time of one clip in milliseconds.

    Raises:
        BenchmarkError: no such trial, it kept no weights, the folder is not empty, or the model does not fit the
            format. Then nothing is written.

    Example:
        >>> card = benchmark.export("1b72baf7ed8d", results="OUT", out="my-model")
    """
    from benchmark.records.store import ResultStore
    from benchmark.tools.export import export_trial

    if format not in FORMATS:
        raise ArgumentError("format", f"expected {' or '.join(FORMATS)}", format)
    if with_frontend and not onnx:
        raise ArgumentError("with_frontend", "only the ONNX model can include it; add --onnx")
    return export_trial(
        ResultStore(Path(results)),
        [trial] if isinstance(trial, str) else list(trial),
        Path(out),
        fold=fold,
        seed=seed,
        onnx=onnx,
        with_front_end=with_frontend,
        form=format,
        checkpoints=checkpoint_folder(checkpoints),
        methods=texts(methods),
        backbones=texts(backbones),
    )
