"""Find out whether a batch that is split into micro-batches gives the same training step."""

from __future__ import annotations

import logging
import random
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.errors import BenchmarkError
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import abstract_model

CLIPS = 2
logger = logging.getLogger(__name__)


def split_changes_results(request: TrialRequest) -> bool:
    """Return True if the model normalises over the batch, or draws random numbers in training.

    The operators of a forward pass are looked at, on meta tensors: a method need not declare anything, and functions
    count like layers. A model that does not run on meta tensors counts as one that depends on the split.
    """
    try:
        model = abstract_model(request, request.dataset.classes or 1).train()
    except BenchmarkError:
        return False  # the method does not fit, which its trials will report
    features = torch.empty(CLIPS, request.recipe.frames, request.recipe.mels, device="meta")
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with _Operators() as operators:
            model(features)
    except Exception as error:  # whatever a method does
        logger.info("%s: its model does not run on meta tensors: %s", request.label, error)
        return True
    drawn = random.getstate() != python or str(np.random.get_state()) != str(numpy)
    return drawn or operators.depend_on_batch


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Note whether an operator draws random numbers or computes statistics over the batch."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.depend_on_batch = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.depend_on_batch |= "batch_norm" in func.__name__ or _draws(func, args, kwargs)
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
