"""The file of a trial's trained parameters: safetensors with all metadata that is needed to load them again."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from pydantic import Field, ValidationError

from benchmark.data.frontend import FrontEnd
from benchmark.errors import BenchmarkError, first_line
from benchmark.models.checkpoint import Checkpoint
from benchmark.models.transformer import AudioTransformer
from benchmark.records.schema import Epoch, Record, Selection
from benchmark.spec.request import TrialRequest
from benchmark.spec.yaml import Spec
from benchmark.trial.build import build_model, load_trained, trained_tensors
from benchmark.trial.frozen import attribute_digest, tensor_digest
from benchmark.trial.resume import random_state, restore_random_state

KEY = "aat_trained"  # key in the file's metadata
Tensors = dict[str, torch.Tensor]


class Normalisation(Spec):
    """From raw filter banks to the model's input: short clips are padded, then (x - mean) / (2 * std)."""

    mean: float
    std: float
    fill: float = Field(description="raw value of padded frames")


class AdapterFile(Spec):
    """Metadata of the file."""

    format_version: int = 1
    trial: str = Field(description="id of the trial")
    request: TrialRequest
    classes: tuple[str, ...] = Field(description="names of the head's outputs, in order")
    normalisation: Normalisation
    epoch: int = Field(
        description="the last epoch: the weights are those at its end; `selection` may name another epoch"
    )
    train_loss: float | None
    splits: dict[str, dict[str, float | None]] = Field(description="metrics of these weights")
    selection: Selection
    sha256: str = Field(description="digest of the tensors, see `tensor_digest`")
    attributes: str | None = Field(
        default=None,
        description="digest of the method's tensors that are neither parameters nor buffers; null for none",
    )

    def of(self, record: Record) -> bool:
        """Return True when these weights belong to the record: same trial, same values in the last epoch."""
        last = record.curves[-1]
        return (self.trial, self.epoch, self.train_loss, self.splits) == (
            record.id, last.epoch, last.train_loss, last.splits,
        )  # fmt: skip


def pack(
    model: torch.nn.Module,
    request: TrialRequest,
    last: Epoch,
    selection: Selection,
    classes: tuple[str, ...],
    front_end: FrontEnd,
) -> bytes:
    """Return the file's content for a trained model.

    Args:
        model: the model after the epoch `last`, on any device.
        request: the trial.
        last: point of the curves that belongs to these weights.
        selection: which epoch is reported.
        classes: names of the head's outputs.
        front_end: front end that made the model's input.
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
        attributes=attribute_digest(model),
    )
    return safetensors.torch.save(tensors, metadata={KEY: kept.model_dump_json()})


def unpack(path: Path) -> tuple[AdapterFile, Tensors]:
    """Read a file of trained parameters and check its digest. Nothing in it is executed.

    Raises:
        BenchmarkError: the file is unreadable, damaged, or of another kind.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118  # is no dictionary
    except FileNotFoundError:  # safetensors' message has the path again
        raise BenchmarkError(f"{path}: no such file") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise BenchmarkError(f"{path}: cannot be read as safetensors: {first_line(error)}") from None
    if KEY not in metadata:
        raise BenchmarkError(f"{path}: is not a file of trained parameters (its metadata has no '{KEY}')")
    try:
        kept = AdapterFile.model_validate_json(metadata[KEY])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise BenchmarkError(f"{path}: metadata is damaged or of another version: {key}: {first['msg']}") from None
    if kept.trial != kept.request.id or kept.sha256 != tensor_digest(tensors):
        raise BenchmarkError(f"{path}: damaged: its content does not fit its digest")
    return kept, tensors


def rebuild(kept: AdapterFile, tensors: Tensors, checkpoint: Checkpoint | None, where: Path) -> AudioTransformer:
    """Return the trained model on the CPU, in evaluation mode.

    What a method inserted and the file does not have is drawn again from the trial's seed, and compared with its
    digest. The caller's random state is kept.

    Args:
        kept: the file's metadata.
        tensors: the trained parameters.
        checkpoint: the backbone's checkpoint; None for random weights.
        where: the file, for messages.

    Raises:
        BenchmarkError: the method is missing, or its parameters are not those of the file any more, or what it freezes
            does not come back as it was.
    """
    state = random_state()
    try:
        model = build_model(kept.request, len(kept.classes), checkpoint).model
    finally:
        restore_random_state(state)
    try:
        load_trained(model, tensors)
    except ValueError as error:
        raise BenchmarkError(
            f"{where}: does not match method '{kept.request.method.variant}' as it is now: {error}"
        ) from None
    if kept.attributes not in {None, attribute_digest(model)}:
        raise BenchmarkError(
            f"{where}: what '{kept.request.method.variant}' freezes at its start does not come back as it was in "
            "training; use the same versions of torch and of the method's package, and the same kind of machine"
        )
    return model.eval()
