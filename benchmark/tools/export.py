"""A finished trial for use elsewhere: what was trained, the merged model as ONNX, sizes and latency."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.files import write_atomic
from benchmark.methods.external import load_place
from benchmark.methods.registry import methods as known_methods
from benchmark.models.checkpoint import Checkpoint, read_checkpoint
from benchmark.models.transformer import AudioTransformer
from benchmark.models.weights import default_folder, locate
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.spec.backbone import BackboneChoice, load_backbone
from benchmark.spec.request import TrialRequest
from benchmark.spec.yaml import Spec
from benchmark.trial.adapter_file import AdapterFile, Normalisation, rebuild, unpack

ADAPTER, CARD, MERGED = "adapter.safetensors", "adapter.json", "model.onnx"
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
BYTES = 4
TOLERANCE = 1e-4  # largest difference of a logit, where the largest logit is at most 1; else as a share of it
BATCHES = (1, 2, 5)
WARM_UP, REPEATS, SECONDS = 3, 50, 20.0


class Backbone(Spec):
    """The frozen part, which is not in the folder: what it is, where it is published, and its file's sha256."""

    variant: str
    weights: str = Field(description="`pretrained`, `random:SEED`, or `file:NAME` in the checkpoint folder")
    sha256: str | None = Field(description="null for random weights")
    urls: list[str] = Field(description="where a declared checkpoint is published")
    parameters: int
    bytes: int = Field(description="of its tensors in float32")


class Latency(Spec):
    """Milliseconds from one clip's filter bank to its logits, on one CPU thread."""

    runtime: str
    median: float
    quartiles: tuple[float, float]
    repeats: int


class Merged(Spec):
    """The ONNX file, held against the model it was made of."""

    bytes: int
    opset: int
    largest_error: float = Field(description="largest difference of a logit in ONNX Runtime")
    tolerance: float
    inputs: int = Field(description="clips that were compared")


class Card(Spec):
    """`adapter.json`."""

    trial: str
    label: str
    marks: list[str] = Field(description="why the score does not speak for the paper")
    request: TrialRequest
    classes: tuple[str, ...] = Field(description="names of the logits, in order")
    frames: int = Field(description="of the input (batch, frames, mels), 10 ms each")
    mels: int
    normalisation: Normalisation
    normalised: str = "(filter bank - mean) / (2 * std)"
    epoch: int = Field(description="the weights are those at the end of this one, the last")
    reported_epoch: int | None = Field(description="what tables report; null where it is chosen over all folds")
    rule: str = Field(description="by which the reported epoch is chosen")
    metric: str
    split: str
    score: float | None = Field(description="of these weights")
    trainable: int = Field(description="parameters")
    parameters: int = Field(description="of the whole model")
    adapter_bytes: int
    backbone: Backbone
    onnx: Merged | None
    latency: list[Latency]
    numerics_version: int = Field(default=1, description="of the code that trained it")
    fingerprint: str = Field(description="of the code that trained it, for information")

    @property
    def note(self) -> str | None:
        """What to know where the weights are not certain to be those that tables report."""
        if self.reported_epoch == self.epoch:
            return None
        told = "is chosen over all folds" if self.reported_epoch is None else f"is {self.reported_epoch}"
        return (
            f"the weights are those of the last epoch, {self.epoch}; the epoch that tables report {told} ({self.rule})"
        )


def load_export(folder: Path, checkpoints: Path | None = None, methods: Iterable[str] = ()) -> AudioTransformer:
    """The trained model of an exported folder, on the CPU, in evaluation mode; its input is in `adapter.json`.

    Args:
        folder: what `export` wrote.
        checkpoints: folder of pre-trained backbones, None for the default one.
        methods: files of methods from outside the suite, as they were given to `run`.

    Raises:
        BenchmarkError: damaged, the method is another one by now, or the backbone is not the one it was trained on.
    """
    return _load(folder / ADAPTER, checkpoints, methods)[1]


def export_trial(
    store: ResultStore,
    trial: str,
    out: Path,
    *,
    onnx: bool,
    checkpoints: Path | None = None,
    methods: Iterable[str] = (),
) -> Card:
    """Write what a trial trained, its description and with `onnx` the merged model, all of it or nothing.

    Args:
        store: where the trial's record is.
        trial: its id, or how that begins.
        out: folder to make; it may be there if it is empty.
        onnx: write `model.onnx` too.
        checkpoints: as in `load_export`.
        methods: as in `load_export`.

    Raises:
        BenchmarkError: no such trial, it kept no weights, `out` is taken, packages are missing, or ONNX Runtime does
            not compute what the model computes.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BenchmarkError(f"{out}: is there already; give --out a new folder")
    if onnx and (lacking := [name for name in PACKAGES if importlib.util.find_spec(name) is None]):
        raise BenchmarkError(f"--onnx needs {', '.join(lacking)}: pip install -e '.[export]'")
    record = store.find(trial)
    source = _weights(store, record)
    kept, model = _load(source, checkpoints, methods)
    if not kept.of(record):
        raise BenchmarkError(f"{source}: are weights of another run of this trial than its record; run it again")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as temporary:
        draft = Path(temporary) / "export"
        draft.mkdir()
        write_atomic(draft / ADAPTER, source.read_bytes())
        merged = _merge(model, kept, draft / MERGED) if onnx else None
        card = _card(record, kept, model, (draft / ADAPTER).stat().st_size, merged, _latencies(model, draft, onnx=onnx))
        write_atomic(draft / CARD, card.model_dump_json(indent=1).encode() + b"\n")
        draft.rename(out)
    return card


def _weights(store: ResultStore, record: Record) -> Path:
    """The file of a trial's weights."""
    path = store.weights_path(record.request)
    if path.is_file():
        return path
    if record.status == "diverged":
        raise BenchmarkError(f"trial {record.id} diverged; it has no weights to export")
    raise BenchmarkError(
        f"trial {record.id} kept no weights; train it again with `run --keep-weights` into another results folder"
    )


def _load(path: Path, checkpoints: Path | None, methods: Iterable[str]) -> tuple[AdapterFile, AudioTransformer]:
    kept, tensors = unpack(path)
    for place in methods:
        load_place(place)
    if gone := [part.name for part in kept.request.method.parts if part.source and part.name not in known_methods()]:
        raise BenchmarkError(f"method '{gone[0]}' is from outside the suite: name its file with --method")
    return kept, rebuild(kept, tensors, _backbone(kept.request.backbone, checkpoints or default_folder()), path)


def _backbone(wanted: BackboneChoice, folder: Path) -> Checkpoint | None:
    """The weights that a trial began with, None where they were random."""
    name = wanted.weights.removeprefix("file:")
    own = wanted if name == wanted.weights else wanted.model_copy(update={"weights": f"file:{folder / name}"})
    try:
        found, path = locate(own, folder)
    except MissingInputError as error:
        raise MissingInputError(f"{error}; --checkpoints names the folder") from None
    if found.sha256 != wanted.sha256:
        raise BenchmarkError(f"{path}: sha256 {found.sha256}, but the trial was trained on {wanted.sha256}")
    return read_checkpoint(path) if path else None


def _card(
    record: Record, kept: AdapterFile, model: AudioTransformer, size: int, merged: Merged | None, latency: list[Latency]
) -> Card:
    counts, choice, selection = record.parameters, record.request.backbone, record.selection
    frozen = counts.total - counts.method - counts.head
    return Card(
        trial=record.id,
        label=record.request.label,
        marks=record.marks,
        request=record.request,
        classes=kept.classes,
        frames=model.config.frames,
        mels=model.config.mels,
        normalisation=kept.normalisation,
        epoch=kept.epoch,
        reported_epoch=selection.epoch,
        rule=selection.rule,
        metric=selection.metric,
        split=selection.split,
        score=kept.splits[selection.split][selection.metric],
        trainable=counts.trainable,
        parameters=counts.total,
        adapter_bytes=size,
        backbone=Backbone(
            variant=choice.variant,
            weights=choice.weights,
            sha256=choice.sha256,
            urls=load_backbone(choice.name).checkpoints[choice.size].urls if choice.weights == "pretrained" else [],
            parameters=frozen,
            bytes=frozen * BYTES,
        ),
        onnx=merged,
        latency=latency,
        numerics_version=record.numerics_version,
        fingerprint=record.fingerprint,
    )


def _merge(model: AudioTransformer, kept: AdapterFile, path: Path) -> Merged:
    """Write the whole model as ONNX, any number of clips at once, and hold it against torch.

    Raises:
        BenchmarkError: the model cannot be exported, or the difference is beyond the tolerance.
    """
    example = torch.zeros(2, model.config.frames, model.config.mels)
    try:
        with _quiet(), torch.no_grad():
            program: Any = torch.onnx.export(
                model,
                (example,),
                dynamo=True,
                verbose=False,
                input_names=["spectrogram"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
            for node in program.model.graph.all_nodes():
                node.metadata_props.clear()  # stack traces with paths of this machine, a fifth of a small file
            program.save(path, external_data=False)
    except Exception as error:  # the exporter and torch.export raise many kinds for what they do not know
        line = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
        raise BenchmarkError(f"{kept.request.method.variant}: cannot be exported to ONNX: {line}") from None
    run, largest, limit, clips = _session(path), 0.0, TOLERANCE, 0
    for features in _inputs(model, kept.normalisation):
        with torch.inference_mode():
            expected = model(features)
        largest = max(largest, float((run(features) - expected).abs().max()))
        limit = max(limit, TOLERANCE * float(expected.abs().max()))
        clips += len(features)
    if not largest <= limit:  # a difference that is not a number is beyond it too
        raise BenchmarkError(
            f"{kept.request.method.variant}: ONNX Runtime differs from torch by {largest:.1e}, more than {limit:.1e}; "
            "nothing was written"
        )
    return Merged(
        bytes=path.stat().st_size,
        opset=int(program.model.opset_imports[""]),
        largest_error=largest,
        tolerance=limit,
        inputs=clips,
    )


def _inputs(model: AudioTransformer, level: Normalisation) -> Iterator[torch.Tensor]:
    """(B, frames, mels) at the level of normalised clips: full ones, and ones whose second half is padding."""
    generator = torch.Generator().manual_seed(0)
    for clips in BATCHES:
        features = torch.randn(clips, model.config.frames, model.config.mels, generator=generator) / 2
        yield features
        padded = features.clone()
        padded[:, model.config.frames // 2 :] = (level.fill - level.mean) / (2 * level.std)
        yield padded


def _latencies(model: AudioTransformer, folder: Path, *, onnx: bool) -> list[Latency]:
    clip = torch.randn(1, model.config.frames, model.config.mels, generator=torch.Generator().manual_seed(0)) / 2
    found = [_latency(f"torch {torch.__version__}", model, clip)]
    if onnx:
        name = f"onnxruntime {importlib.metadata.version('onnxruntime')}"
        found.append(_latency(name, _session(folder / MERGED), clip))
    return found


def _latency(runtime: str, run: Callable[[torch.Tensor], torch.Tensor], clip: torch.Tensor) -> Latency:
    """Time a clip on one thread, fewer times than `REPEATS` where that takes more than `SECONDS`."""
    threads, times = torch.get_num_threads(), list[float]()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for _ in range(WARM_UP):
                run(clip)
            until = time.perf_counter() + SECONDS
            while len(times) < REPEATS and (len(times) < 2 or time.perf_counter() < until):
                began = time.perf_counter()
                run(clip)
                times.append(1e3 * (time.perf_counter() - began))
    finally:
        torch.set_num_threads(threads)
    low, middle, high = statistics.quantiles(times, n=4)
    return Latency(runtime=runtime, median=middle, quartiles=(low, high), repeats=len(times))


def _session(path: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """(B, frames, mels) -> (B, classes) logits in ONNX Runtime, on one CPU thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(features: torch.Tensor) -> torch.Tensor:
        [logits] = session.run(["logits"], {"spectrogram": features.numpy()})
        return torch.from_numpy(logits)

    return run


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells much that is of no use here; its errors are exceptions."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
