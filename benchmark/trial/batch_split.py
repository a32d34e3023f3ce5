"""Find out on meta tensors whether a training step depends on micro-batches, and whether evaluation has effects."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.errors import BenchmarkError
from benchmark.methods.registry import build_method
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import abstract_model
from benchmark.trial.resume import random_state, restore_random_state

CLIPS = 2
logger = logging.getLogger(__name__)


def split_changes_results(request: TrialRequest) -> bool:
    """Return True if the model has BatchNorm, draws random numbers in training, or a method declares `mixes_clips`.

    A model that does not run on meta tensors counts as one that depends on the split.
    """
    if any(part.mixes_clips for part in build_method(request.method).parts):
        return True
    seen = _watch(request, training=True)
    return seen.draws or seen.normalises_batch


def evaluation_has_effects(request: TrialRequest) -> bool:
    """Return True if the model draws random numbers or changes buffers in evaluation, and thus what comes after it.

    A model that does not run on meta tensors counts as one that does. All random generators stay as they are.
    """
    state = random_state()
    try:
        seen = _watch(request, training=False)
    finally:
        restore_random_state(state)
    return seen.draws or seen.changes_buffers


@dataclass(frozen=True)
class _Seen:
    """What a forward pass does besides computing its output; by default the worst.

    Attributes:
        draws: it draws random numbers.
        normalises_batch: it computes statistics over the batch.
        changes_buffers: it replaces a buffer or writes to one.
    """

    draws: bool = True
    normalises_batch: bool = True
    changes_buffers: bool = True


def _watch(request: TrialRequest, *, training: bool) -> _Seen:
    """Look at a forward pass on meta tensors: layers need not be declared, and functions count like layers."""
    features = torch.empty(CLIPS, request.recipe.frames, request.recipe.mels, device="meta")
    try:
        model = abstract_model(request, request.dataset.classes or 1).train(training)
        python, numpy = random.getstate(), np.random.get_state()  # after what the method drew for its initial values
        buffers = [(buffer, buffer._version) for buffer in model.buffers()]
        with torch.set_grad_enabled(training), _Operators() as operators:
            model(features)
    except BenchmarkError:
        return _Seen(False, False, False)  # the method does not fit, which its trials will report
    except Exception as error:  # whatever a method does
        logger.info("%s: its model does not run on meta tensors: %s", request.label, error)
        return _Seen()
    drawn = random.getstate() != python or str(np.random.get_state()) != str(numpy)
    return _Seen(drawn or operators.draws, operators.normalises_batch, _changed(buffers, model.buffers()))


def _changed(before: list[tuple[torch.Tensor, int]], after: Iterable[torch.Tensor]) -> bool:
    """Return whether buffers were replaced or written to since their versions were noted."""
    now = list(after)
    pairs = zip(before, now, strict=False)
    return len(now) != len(before) or any(one is not two or version != two._version for (one, version), two in pairs)


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Note whether an operator draws random numbers or computes statistics over the batch."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.draws = False
        self.normalises_batch = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.normalises_batch |= "batch_norm" in func.__name__
        self.draws |= _draws(func, args, kwargs)
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
