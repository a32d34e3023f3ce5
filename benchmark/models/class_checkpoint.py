"""Read the weights of a backbone: in the published formats, or for a class from outside under the class's own names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from benchmark.errors import BenchmarkError, first_line
from benchmark.models.abstract import abstract_tensors
from benchmark.models.checkpoint import Checkpoint, check_tensors, read_checkpoint, read_tensors
from benchmark.models.contract import ModelConfig
from benchmark.models.registry import AudioTransformer, model_class
from benchmark.spec.backbone import BackboneChoice, load_backbone
from benchmark.spec.declared import suite_names


def read_weights(choice: BackboneChoice, path: Path) -> Checkpoint:
    """Read the checkpoint of a backbone.

    A class that states a family of the suite takes that family's published files, any other one files of its own.

    Args:
        choice: the backbone, with what the user states about the checkpoint.
        path: a file, a folder, or the index of a sharded model.

    Raises:
        BenchmarkError: as `read_checkpoint`, or the file does not have the tensors of the backbone's class.
    """
    kind = model_class(choice.name)
    if kind is AudioTransformer or choice.stated_architecture.family in suite_names("backbones"):
        checkpoint = read_checkpoint(path, choice.stated)
        if choice.outside is not None:
            check_tensors(checkpoint.tensors, _shapes(kind, choice, checkpoint), f"{path}: {choice.name}")
        return checkpoint
    architecture = choice.stated_architecture
    found = Checkpoint(
        layout=load_backbone(choice.name).label,
        shape=choice.shape,
        distilled=architecture.class_tokens > 1,
        grid=choice.grid,
        norm_eps=architecture.norm_eps,
        head_norm_eps=architecture.head_norm_eps,
        tensors=_renamed(kind, path),
        head={},
        dropped=(),
        family=architecture.family,
        mels=load_backbone(choice.name).input.mels,
    )
    try:
        check_tensors(found.tensors, _shapes(kind, choice, found), f"{path}: {choice.name}")
    except BenchmarkError as error:
        advice = f"{_origin(path, choice)}; map its names in {kind.__name__}.rename_tensors"
        raise BenchmarkError(f"{error}; {advice}") from None
    return found


def _origin(path: Path, choice: BackboneChoice) -> str:
    """Return whose file it looks like: that of a published format, or by its first names."""
    try:
        return f"the file looks like {read_checkpoint(path, choice.stated).layout}"
    except BenchmarkError:
        return f"the file's tensors begin {', '.join(list(read_tensors(path))[:3])}"


def pretraining_config(choice: BackboneChoice, classes: int = 1) -> ModelConfig:
    """Return the architecture of a backbone whose patch grid is that of its pre-training.

    Its patches do not overlap, which changes no tensor's shape.

    Args:
        choice: the backbone.
        classes: outputs of the head.
    """
    architecture = choice.stated_architecture
    (rows, columns), patch = choice.grid, architecture.patch
    return ModelConfig(
        shape=choice.shape,
        mels=rows * patch,
        frames=columns * patch,
        stride=(patch, patch),
        classes=classes,
        pooling=choice.pooling,
        prompts="insert",
        **architecture.of_model(),
    )


def _renamed(kind: type[AudioTransformer], path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file under the names of a class."""
    try:
        renamed = kind.rename_tensors(read_tensors(path))
        return {name: tensor.float() for name, tensor in renamed.items()}
    except BenchmarkError:
        raise
    except Exception as error:  # whatever the class does
        raise BenchmarkError(f"{path}: {kind.__name__}.rename_tensors fails: {first_line(error)}") from None


def _shapes(kind: type[AudioTransformer], choice: BackboneChoice, found: Checkpoint) -> Mapping[str, tuple[int, ...]]:
    """Return name and shape of every tensor of a backbone with a checkpoint's size and grid."""
    config = pretraining_config(choice.model_copy(update={**found.shape.model_dump(), "grid": found.grid}))
    with abstract_tensors():
        return {name: tuple(tensor.shape) for name, tensor in kind(config).backbone_tensors().items()}
