"""A trial's training step with random weights and random input, to measure it without data and without weights."""

from __future__ import annotations

import torch

from benchmark.data.loader import Batch
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model
from benchmark.trial.train_step import Trainer


def random_step(
    request: TrialRequest, device: torch.device, *, compiled: bool, checkpointing: bool = False
) -> tuple[Trainer, Batch]:
    """Return a trainer and a batch of the recipe's size, on a device.

    Args:
        request: the trial.
        device: where the step computes.
        compiled: whether the steps are compiled.
        checkpointing: whether activations are computed again in the backward pass.

    Raises:
        BenchmarkError: the method does not fit the model.
    """
    untrained = with_random_weights(request)
    built = build_model(untrained, request.classes)
    trainer = Trainer(
        built.model.to(device), untrained, device, built.groups, compiled=compiled, checkpointing=checkpointing
    )
    return trainer, random_batch(untrained, untrained.recipe.batch_size, device)


def with_random_weights(request: TrialRequest) -> TrialRequest:
    """Return the request with random weights in place of a checkpoint."""
    backbone = request.backbone.model_copy(update={"weights": "random:0", "sha256": None})
    return TrialRequest.model_validate({**request.model_dump(), "backbone": backbone.model_dump()})


def with_batch_size(request: TrialRequest, clips: int | None) -> TrialRequest:
    """Return the request with another batch size; None keeps its own."""
    if clips is None:
        return request
    content = request.model_dump()
    return TrialRequest.model_validate({**content, "recipe": {**content["recipe"], "batch_size": clips}})


def random_batch(request: TrialRequest, clips: int, device: torch.device) -> Batch:
    """Return features (clips, frames, mels), one-hot targets and weights of the targets, both (clips, classes)."""
    recipe, classes, generator = request.recipe, request.classes, torch.Generator().manual_seed(0)
    features = torch.randn(clips, recipe.frames, recipe.mels, generator=generator)
    labels = torch.randint(classes, (clips,), generator=generator)
    targets = torch.nn.functional.one_hot(labels, classes).float()
    return features.to(device), targets.to(device), torch.ones(clips, classes, device=device)
