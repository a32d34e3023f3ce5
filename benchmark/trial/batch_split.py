"""Find out whether a batch that is split into micro-batches gives the same training step."""

from __future__ import annotations

import logging
import random
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.errors import BenchmarkError
from benchmark.methods.registry import build_method
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import abstract_model

CLIPS = 2
logger = logging.getLogger(__name__)


def split_changes_results(request: TrialRequest) -> bool:
    """Return True if the model has BatchNorm, draws random numbers in training, or a method declares `mixes_clips`.

    The operators of a forward pass are looked at, on meta tensors: layers need not be declared, and functions count
    like layers. A model that does not run on meta tensors counts as one that depends on the split.
    """
    if any(part.mixes_clips for part in build_method(request.method).parts):
        return True
    features = torch.empty(CLIPS, request.recipe.frames, request.recipe.mels, device="meta")
    try:
        model = abstract_model(request, request.dataset.classes or 1).train()
        python, numpy = random.getstate(), np.random.get_state()  # after what the method drew for its initial values
        with Operators() as operators:
            model(features)
    except BenchmarkError:
        return False  # the method does not fit, which its trials will report
    except Exception as error:  # whatever a method does
        logger.info("%s: its model does not run on meta tensors: %s", request.label, error)
        return True
    drawn = random.getstate() != python or str(np.random.get_state()) != str(numpy)
    return drawn or operators.draws or operators.batch_norm


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Note what operators do.

    Attributes:
        draws: whether one draws random numbers.
        batch_norm: whether one computes statistics over the batch.
        running: running statistics of batch normalization, which a call in training updates.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.draws = self.batch_norm = False
        self.running: list[torch.Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.draws |= _draws(func, args, kwargs)
        if "batch_norm" in func.__name__:
            self.batch_norm = True
            named = zip((argument.name for argument in func._schema.arguments), args, strict=False)
            self.running += [value for name, value in named if name.startswith("running_") and value is not None]
        return func(*args, **kwargs)


def _draws(func: Any, args: Any, kwargs: Any) -> bool:
    """Return True if the operator draws. Operators of attention are marked as drawing even without dropout."""
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return False
    names = [argument.name for argument in func._schema.arguments]
    if "dropout_p" not in names:
        return True
    values = {argument.name: argument.default_value for argument in func._schema.arguments}
    values |= {**dict(zip(names, args, strict=False)), **kwargs}
    return bool(values["dropout_p"])
