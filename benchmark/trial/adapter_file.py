"""What a trial trained, as it is kept: a safetensors file whose metadata says all that is needed to load it back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from pydantic import Field, ValidationError

from benchmark.data.frontend import FrontEnd
from benchmark.errors import BenchmarkError
from benchmark.models.checkpoint import Checkpoint
from benchmark.models.transformer import AudioTransformer
from benchmark.records.schema import Epoch, Record, Selection
from benchmark.spec.request import TrialRequest
from benchmark.spec.yaml import Spec
from benchmark.trial.build import build_model, trained_tensors
from benchmark.trial.resume import random_state, restore_random_state

KEY = "aat_trained"  # of the file's metadata
Tensors = dict[str, torch.Tensor]


class Normalisation(Spec):
    """How raw filter banks become the model's input: (x - mean) / (2 * std); short clips are filled up first."""

    mean: float
    std: float
    fill: float = Field(description="raw value of padded frames")


class AdapterFile(Spec):
    """What the file says of itself."""

    format_version: int = 1
    trial: str
    request: TrialRequest
    classes: tuple[str, ...] = Field(description="names of the head's outputs, in order")
    normalisation: Normalisation
    epoch: int = Field(
        description="the weights are those at the end of this one, the last; `selection` may say another"
    )
    train_loss: float | None
    splits: dict[str, dict[str, float | None]] = Field(description="metrics of these weights")
    selection: Selection
    sha256: str = Field(description="of the tensors: see `tensor_digest`")

    def of(self, record: Record) -> bool:
        """Whether these are the weights that a record tells of: of the same trial, with the same last epoch."""
        last = record.curves[-1]
        return (self.trial, self.epoch, self.train_loss, self.splits) == (
            record.id, last.epoch, last.train_loss, last.splits,
        )  # fmt: skip


def tensor_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """sha256 over name, type, shape and bytes of CPU tensors, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def pack(
    model: torch.nn.Module,
    request: TrialRequest,
    last: Epoch,
    selection: Selection,
    classes: tuple[str, ...],
    front_end: FrontEnd,
) -> bytes:
    """The file's content for a trained model.

    Args:
        model: as it is behind the epoch `last`, on any device.
        request: the trial.
        last: the point of the curves that belongs to these weights.
        selection: which epoch is reported.
        classes: names of the head's outputs.
        front_end: what made the model's input.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in trained_tensors(model).items()}
    kept = AdapterFile(
        trial=request.id,
        request=request,
        classes=classes,
        normalisation=Normalisation(mean=front_end.mean, std=front_end.std, fill=front_end.fill),
        epoch=last.epoch,
        train_loss=last.train_loss,
        splits=last.splits,
        selection=selection,
        sha256=tensor_digest(tensors),
    )
    return safetensors.torch.save(tensors, metadata={KEY: kept.model_dump_json()})


def unpack(path: Path) -> tuple[AdapterFile, Tensors]:
    """Read and check such a file; nothing in it is executed.

    Raises:
        BenchmarkError: unreadable, damaged, or another kind of file.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118  # is no dictionary
    except (OSError, safetensors.SafetensorError) as error:
        raise BenchmarkError(f"{path}: cannot be read as safetensors: {str(error).splitlines()[0]}") from None
    if KEY not in metadata:
        raise BenchmarkError(f"{path}: does not hold what a trial trained (its metadata lack '{KEY}')")
    try:
        kept = AdapterFile.model_validate_json(metadata[KEY])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise BenchmarkError(f"{path}: damaged metadata, or of another version: {key}: {first['msg']}") from None
    if kept.trial != kept.request.id or kept.sha256 != tensor_digest(tensors):
        raise BenchmarkError(f"{path}: damaged: its content does not fit its digest")
    return kept, tensors


def rebuild(kept: AdapterFile, tensors: Tensors, checkpoint: Checkpoint | None, where: Path) -> AudioTransformer:
    """Backbone, method and what was trained as one model, on the CPU, in evaluation mode.

    What a method inserted but did not train is drawn again from the trial's seed. The caller's random state stays.

    Args:
        kept: what was trained.
        tensors: its weights.
        checkpoint: the backbone's, None for random weights.
        where: leads messages.

    Raises:
        BenchmarkError: the method is gone or is another one by now: its parameters are not those of the file.
    """
    state = random_state()
    try:
        model = build_model(kept.request, len(kept.classes), checkpoint).model
    finally:
        restore_random_state(state)
    expected = {name: (tensor.shape, tensor.dtype) for name, tensor in trained_tensors(model).items()}
    found = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
    if wrong := sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name)):
        raise BenchmarkError(
            f"{where}: does not fit method '{kept.request.method.variant}' as it is now: {wrong[0]}"
            f"{f' and {len(wrong) - 1} more tensors' if len(wrong) > 1 else ''}"
        )
    model.load_state_dict(tensors, strict=False)
    return model.eval()
