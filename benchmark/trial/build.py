"""Build the model of a trial: backbone, head, method, and which parameters train."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from typing import NamedTuple

import torch

from benchmark.errors import BenchmarkError, first_line
from benchmark.methods.contract import ParamGroup
from benchmark.methods.registry import build_method
from benchmark.models.abstract import abstract_tensors
from benchmark.models.build import bare_model, build_backbone, init_head, model_config, unused_head_parameters
from benchmark.models.checkpoint import Checkpoint
from benchmark.models.transformer import AudioTransformer
from benchmark.places import place_of_error
from benchmark.records.schema import Parameters
from benchmark.spec.request import TrialRequest
from benchmark.trial.frozen import is_made, mark_made, marks_of
from benchmark.trial.seeding import Seeds, seed_everything

HEAD = "mlp_head."

logger = logging.getLogger(__name__)


class Built(NamedTuple):
    """A trial's model.

    Attributes:
        model: the adapted model.
        parameters: counts of its parameters.
        groups: parameters whose learning rate or weight decay differs from the recipe's.
    """

    model: AudioTransformer
    parameters: Parameters
    groups: list[ParamGroup]


def build_model(request: TrialRequest, classes: int, checkpoint: Checkpoint | None = None) -> Built:
    """Build the adapted model. Everything is frozen except the head and the parameters that the method names.

    Args:
        request: backbone, method, recipe, protocol.
        classes: number of outputs of the head.
        checkpoint: the backbone's weights; None for random weights.

    Raises:
        BenchmarkError: the method cannot adapt this model, or names a parameter that does not exist.
    """
    seeds = Seeds(request)
    config = model_config(request.backbone, request.recipe, request.protocol, classes)
    model = build_backbone(config, request.backbone, checkpoint=checkpoint, weights_seed=seeds.weights())
    init_head(model, seeds.head())
    backbone_size = _size(model)
    seed_everything(seeds.method())
    groups = _adapt(model, request)
    return Built(model, _count(model, backbone_size, request), groups)


def count_parameters(request: TrialRequest, classes: int) -> Parameters:
    """Return the parameter counts of a trial's model, on meta tensors.

    Raises:
        BenchmarkError: as `build_model`.
    """
    return _count(abstract_model(request, classes), _size(_abstract(request, classes)), request)


def abstract_model(request: TrialRequest, classes: int) -> AudioTransformer:
    """Build a trial's model on meta tensors; in full, with random weights, if its method computes with values.

    Raises:
        BenchmarkError: as `build_model`.
    """
    model = _abstract(request, classes)
    try:
        with abstract_tensors():
            _adapt(model, request)
    except BenchmarkError:
        raise
    except Exception as error:  # whatever a method does
        logger.info("%s: its method does not run on meta tensors: %s", request.label, first_line(error))
        with torch.random.fork_rng(devices=[]):
            model = _bare(request, classes)
            _adapt(model, request)
    return model


def _abstract(request: TrialRequest, classes: int) -> AudioTransformer:
    with abstract_tensors():
        return _bare(request, classes)


def _bare(request: TrialRequest, classes: int) -> AudioTransformer:
    return bare_model(request.backbone, model_config(request.backbone, request.recipe, request.protocol, classes))


def freeze_others(model: AudioTransformer, trainable: set[str], method: str) -> None:
    """Freeze every parameter except the head's and the trainable ones.

    Args:
        model: the adapted model.
        trainable: names of the parameters that the method trains.
        method: name of the method, for messages.

    Raises:
        BenchmarkError: the model does not have one of the names.
    """
    parameters = dict(model.named_parameters())
    if unknown := sorted(trainable - set(parameters)):
        near = difflib.get_close_matches(unknown[0], parameters, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise BenchmarkError(f"method '{method}': adapt() names '{unknown[0]}', which the model does not have{hint}")
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in trainable or name.startswith(HEAD))


def trained_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return what a trial keeps of its model, by name: what training changes, and what the method made.

    That is: parameters that train, buffers, and frozen parameters that the method made or changed. A buffer of the
    backbone that nothing changes, as a fixed positional embedding, is no part of it.
    """
    constant: frozenset[str] = getattr(model, "constant_buffers", frozenset())
    buffers = {name: buffer for name, buffer in model.named_buffers() if name not in constant}
    kept = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad or is_made(tensor)}
    return {name: tensor.detach() for name, tensor in {**kept, **buffers}.items()}


def load_trained(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Set what `trained_tensors` returned for a model of the same trial.

    Args:
        model: the adapted model, on any device.
        tensors: in files of earlier versions, what the method made and does not train may be missing.

    Raises:
        ValueError: names the first tensor that is missing, surplus, or of another shape or type. Nothing was set.
    """
    present = trained_tensors(model)
    expected, found = (
        {name: (tensor.shape, tensor.dtype) for name, tensor in content.items()} for content in (present, tensors)
    )
    needed = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    needed |= set(model.state_dict()) & dict(model.named_buffers()).keys() & set(present)
    names = {*found, *needed}
    if wrong := sorted(name for name in names if expected.get(name) != found.get(name)):
        raise ValueError(f"{wrong[0]}{f' and {len(wrong) - 1} more tensors' if len(wrong) > 1 else ''}")
    with torch.no_grad():
        for name, tensor in tensors.items():
            present[name].copy_(tensor)


def _adapt(model: AudioTransformer, request: TrialRequest) -> list[ParamGroup]:
    method = build_method(request.method)
    before = marks_of(model)
    try:
        trainable = set(method.adapt(model))
        groups = method.param_groups()
    except ValueError as error:
        reason = " ".join(str(error).split())  # messages of other packages may have several lines
        if place := place_of_error(error):
            reason = f"{reason} ({place})"
        raise BenchmarkError(f"method '{request.method.variant}': {reason}") from None
    freeze_others(model, trainable, request.method.variant)
    mark_made(model, before)
    return groups


def _size(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _count(model: torch.nn.Module, backbone_size: int, request: TrialRequest) -> Parameters:
    """Return the counts.

    `backbone_size` is the model's size before the method adapted it: methods may rename parameters, so that the
    difference of sizes is the only safe count of what a method adds.
    """
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    total = sum(sizes.values())
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    backbone = request.backbone
    unused = unused_head_parameters(backbone.shape.width, heads=backbone.stated_architecture.unused_heads)
    return Parameters(
        total=total,
        trainable=trainable,
        head=sum(size for name, size in sizes.items() if name.startswith(HEAD)),
        method=total - backbone_size,
        total_reference=total + unused,
        trainable_reference=trainable + (unused if request.method.tuning == "full" else 0),
    )
