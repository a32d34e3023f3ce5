"""Write an exported trial, and load it again."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.files import write_atomic
from benchmark.methods import huggingface
from benchmark.methods.registry import load_place
from benchmark.methods.registry import methods as known_methods
from benchmark.models.checkpoint import Checkpoint
from benchmark.models.class_checkpoint import read_weights
from benchmark.models.outside import resolve_backbones
from benchmark.models.weights import default_folder, locate
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.spec.backbone import HUB, BackboneChoice, backbone_names
from benchmark.tools.export.card import Card, make_card
from benchmark.tools.export.hugging_face import CONFIG, check_package, write_hugging_face
from benchmark.tools.export.latency import measure_latency
from benchmark.tools.export.model_card import model_card
from benchmark.tools.export.onnx_file import check_packages, write_onnx
from benchmark.tools.export.pick import pick_trial
from benchmark.tools.export.trained import TrainedModel
from benchmark.trial.adapter_file import rebuild, unpack
from benchmark.trial.matrix_products import with_fast_products

ADAPTER, CARD, MERGED, README = "adapter.safetensors", "adapter.json", "model.onnx", "README.md"
Format = Literal["adapter", "hf"]
logger = logging.getLogger(__name__)


def load_export(
    folder: Path, checkpoints: Path | None = None, methods: Iterable[str] = (), backbones: Iterable[str] = ()
) -> TrainedModel:
    """Load the trained model of an exported folder, on the CPU, in evaluation mode.

    Args:
        folder: what `export` wrote; its `adapter.json` describes the model's input.
        checkpoints: folder of pre-trained backbones; None for the default one.
        methods: files of methods from outside the suite, as they were given to `run`.
        backbones: the same of backbones.

    Raises:
        BenchmarkError: the file is damaged, the method's code changed, or the backbone is not the one of the training.
    """
    if (folder / CONFIG).is_file() and not (folder / ADAPTER).is_file():
        raise BenchmarkError(f"{folder}: is a folder for transformers; export the trial without --format hf")
    return _load(folder / ADAPTER, checkpoints, methods, backbones)


def export_trial(
    store: ResultStore,
    trial: Sequence[str],
    out: Path,
    *,
    fold: int | None = None,
    seed: int | None = None,
    onnx: bool,
    with_front_end: bool = False,
    form: Format = "adapter",
    checkpoints: Path | None = None,
    methods: Iterable[str] = (),
    backbones: Iterable[str] = (),
) -> Card:
    """Write what a trial trained, its description and with `onnx` the merged model; all files or none.

    Args:
        store: where the trial's record is.
        trial: its id, or the beginning of its id; or backbone, dataset and method, see `pick_trial`.
        out: folder to create; it may exist if it is empty.
        fold: only this fold; None for the first.
        seed: only this seed; None for the first.
        onnx: also write `model.onnx`.
        with_front_end: let `model.onnx` begin with waveforms.
        form: `adapter`: the trained parameters; `hf`: the whole model for transformers.
        checkpoints: as in `load_export`.
        methods: as in `load_export`.
        backbones: as in `load_export`.

    Raises:
        BenchmarkError: there is no such trial, it kept no weights, `out` is not empty, packages are missing, the model
            has no equal in the wanted format, or the other library computes other logits than torch.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BenchmarkError(f"{out}: is there already; give --out a new folder")
    if onnx:
        check_packages()
    if form == "hf":
        check_package()
    record = pick_trial(store, trial, fold, seed)
    source = _weights(store, record)
    trained = _load(source, checkpoints, methods, backbones)
    if not trained.adapter.of(record):
        raise BenchmarkError(f"{source}: has weights of another run of this trial than its record; run it again")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as temporary:
        draft = Path(temporary) / "export"
        draft.mkdir()
        name, file = trained.adapter.request.method.variant, draft / MERGED if onnx else None
        hugging_face = write_hugging_face(trained, draft, name) if form == "hf" else None
        if form == "adapter":
            write_atomic(draft / ADAPTER, source.read_bytes())
        merged = None if file is None else write_onnx(trained, file, name, with_front_end=with_front_end)
        card = make_card(
            record,
            trained,
            adapter_bytes=source.stat().st_size,
            onnx=merged,
            hugging_face=hugging_face,
            latency=measure_latency(trained, file, with_front_end=with_front_end),
        )
        write_atomic(draft / CARD, card.model_dump_json(indent=1).encode() + b"\n")
        write_atomic(draft / README, model_card(card).encode())
        draft.rename(out)
    return card


def _weights(store: ResultStore, record: Record) -> Path:
    """Return the file of a trial's weights."""
    path = store.weights_path(record.request)
    if path.is_file():
        return path
    if record.status == "diverged":
        raise BenchmarkError(f"trial {record.id} diverged; it has no weights to export")
    raise BenchmarkError(
        f"trial {record.id} kept no weights; train it again with `run --keep-weights` into another results folder"
    )


def _load(path: Path, checkpoints: Path | None, methods: Iterable[str], backbones: Iterable[str]) -> TrainedModel:
    """Read a file of trained weights and rebuild the whole model."""
    adapter, tensors = unpack(path)
    for place in methods:
        load_place(place)
    for place in backbones:
        # enters a class or a YAML file; options that `run` got are of no use here
        resolve_backbones(f"{place.partition('[')[0]}[weights=random:0]", "--backbone")
    if adapter.request.backbone.outside and adapter.request.backbone.name not in backbone_names():
        raise BenchmarkError(
            f"backbone '{adapter.request.backbone.name}' is from outside the suite: name its file with --backbone"
        )
    known = known_methods()
    named = [part.name for part in adapter.request.method.parts if part.source]
    if unknown := [name for name in named if name not in known and not name.startswith(huggingface.PREFIX)]:
        raise BenchmarkError(f"method '{unknown[0]}' is from outside the suite: name its file with --method")
    checkpoint = _backbone(adapter.request.backbone, checkpoints or default_folder())
    return TrainedModel(with_fast_products(rebuild(adapter, tensors, checkpoint, path)), adapter)


def _backbone(choice: BackboneChoice, folder: Path) -> Checkpoint | None:
    """Read the weights that a trial started from; None if they were random."""
    name, commit = choice.weights.removeprefix("file:"), choice.pretrained.commit if choice.pretrained else None
    local = choice if name == choice.weights else choice.model_copy(update={"weights": f"file:{folder / name}"})
    if choice.weights.startswith(HUB) and commit:
        local = choice.model_copy(update={"weights": f"{choice.weights}@{commit}"})
    try:
        found, path = locate(local, folder)
    except MissingInputError as error:
        raise MissingInputError(f"{error}; --checkpoints names the folder") from None
    if found.sha256 != choice.sha256:
        raise BenchmarkError(f"{path}: sha256 {found.sha256}, but the trial was trained on {choice.sha256}")
    logger.info("backbone: %s", path or choice.weights)
    return read_weights(choice, path) if path else None
