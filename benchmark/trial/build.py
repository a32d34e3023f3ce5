"""The model of a trial: backbone, head, method, and what trains."""

from __future__ import annotations

import difflib

import torch

from benchmark.errors import BenchmarkError
from benchmark.methods.registry import build_method
from benchmark.models.build import build_backbone, init_head, model_config, unused_head_parameters
from benchmark.models.transformer import AudioTransformer
from benchmark.records.schema import Parameters
from benchmark.spec.request import TrialRequest
from benchmark.trial.seeding import Seeds, seed_everything

HEAD = "mlp_head."


def build_model(request: TrialRequest, classes: int) -> tuple[AudioTransformer, Parameters]:
    """Build the adapted model; everything but the head and what the method names is frozen.

    Raises:
        BenchmarkError: the method cannot adapt this model, or names a parameter that does not exist.
    """
    seeds = Seeds(request)
    config = model_config(request.backbone, request.recipe, request.protocol, classes)
    model = build_backbone(config, request.backbone, seeds.weights())
    init_head(model, seeds.head())
    own = {name for name, _ in model.named_parameters()}
    seed_everything(seeds.method())
    try:
        trainable = set(build_method(request.method).adapt(model))
    except ValueError as error:
        raise BenchmarkError(f"method '{request.method.variant}': {error}") from None
    _freeze_others(model, trainable, request.method.variant)
    return model, _count(model, own, request)


def _freeze_others(model: AudioTransformer, trainable: set[str], method: str) -> None:
    parameters = dict(model.named_parameters())
    if unknown := sorted(trainable - set(parameters)):
        near = difflib.get_close_matches(unknown[0], parameters, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise BenchmarkError(f"method '{method}': adapt() names '{unknown[0]}', which the model does not have{hint}")
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in trainable or name.startswith(HEAD))


def _count(model: torch.nn.Module, own: set[str], request: TrialRequest) -> Parameters:
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    total = sum(sizes.values())
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    unused = unused_head_parameters(request.backbone.shape.width)
    return Parameters(
        total=total,
        trainable=trainable,
        head=sum(size for name, size in sizes.items() if name.startswith(HEAD)),
        method=sum(size for name, size in sizes.items() if name not in own),
        total_reference=total + unused,
        trainable_reference=trainable + (unused if request.method.tuning == "full" else 0),
    )
