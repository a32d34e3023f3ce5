"""Find out whether a training step depends on how a batch is split, and whether evaluation changes what follows."""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from benchmark.errors import BenchmarkError, first_line
from benchmark.methods.registry import build_method
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import abstract_model
from benchmark.trial.plain_mode import PlainMode
from benchmark.trial.resume import random_state, restore_random_state

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
        seen = _watch(model, lambda model: model(features))
    except BenchmarkError:
        return False  # the method does not fit, which its trials will report
    except Exception as error:  # whatever a method does
        logger.info("%s: its model does not run on meta tensors: %s", request.label, error)
        return True
    return seen.draws or seen.normalises_batch


def evaluation_has_effects(model: nn.Module, evaluate: Callable[[nn.Module], object]) -> bool:
    """Return True if a model draws random numbers or changes buffers in evaluation, and thus what comes after it.

    A copy is tried, because code from outside the suite may count its calls; all random generators stay as they are. A
    model that cannot be copied, or fails, counts as one with effects. (On meta tensors, torch would import its
    compiler.)

    Args:
        model: in evaluation mode.
        evaluate: a pass of evaluation with a model.
    """
    state = random_state()
    try:
        with torch.no_grad():
            seen = _watch(copy.deepcopy(model), evaluate)
    except Exception as error:  # whatever a method does
        logger.info("it is not known what its evaluation changes: %s", first_line(error))
        return True
    finally:
        restore_random_state(state)
    return seen.draws or seen.changes_buffers


class _Seen(NamedTuple):
    """What a forward pass does besides computing its output.

    Attributes:
        draws: it draws random numbers.
        normalises_batch: it computes statistics over the batch.
        changes_buffers: it replaces a buffer or writes to one.
    """

    draws: bool
    normalises_batch: bool
    changes_buffers: bool


def _watch(model: nn.Module, run: Callable[[nn.Module], object]) -> _Seen:
    """Look at the operators of a pass, at the generators of Python and NumPy, and at the buffers."""
    python, numpy = random.getstate(), np.random.get_state()  # after what the method drew for its initial values
    buffers = [(buffer, buffer._version) for buffer in model.buffers()]
    with Operators() as operators:
        run(model)
    drawn = random.getstate() != python or str(np.random.get_state()) != str(numpy)
    return _Seen(drawn or operators.draws, operators.normalises_batch, _changed(buffers, model.buffers()))


def _changed(before: list[tuple[torch.Tensor, int]], after: Iterable[torch.Tensor]) -> bool:
    """Return whether buffers were replaced or written to since their versions were noted."""
    now = list(after)
    pairs = zip(before, now, strict=False)
    return len(now) != len(before) or any(one is not two or version != two._version for (one, version), two in pairs)


class Operators(PlainMode):
    """Note what operators do.

    Attributes:
        draws: whether one draws random numbers.
        normalises_batch: whether one computes statistics over the batch.
        running: running statistics of batch normalization, which a call in training updates.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.draws = self.normalises_batch = False
        self.running: list[torch.Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.draws |= _draws(func, args, kwargs)
        if "batch_norm" in func.__name__:
            self.normalises_batch = True
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
