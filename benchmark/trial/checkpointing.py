"""Activation checkpointing: blocks whose activations are computed again in the backward pass instead of kept.

Results stay equal, bit for bit on a CPU: draws from torch's generators are repeated, and BatchNorm updates its running
statistics once. A block that draws from Python's or NumPy's generator, or changes anything else while it computes,
would do so twice; it keeps its activations.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from benchmark.errors import first_line
from benchmark.models.transformer import AudioTransformer
from benchmark.spec.request import TrialRequest
from benchmark.trial.batch_split import CLIPS, Operators
from benchmark.trial.build import abstract_model
from benchmark.trial.resume import random_state, restore_random_state

Context = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Repeat:
    """What it takes to compute a block again.

    Attributes:
        draws: whether it draws from torch's generators.
        batch_norm: whether it updates running statistics.
    """

    draws: bool
    batch_norm: bool


class CheckpointedBlocks:
    """Calls the blocks of a model, and keeps only the input of those that can be computed again.

    Args:
        repeats: by the number of a block; blocks that are missing keep their activations.
        trained: numbers of the blocks with trained parameters.

    Attributes:
        context: context in which blocks that are called from now on are computed again.
    """

    def __init__(self, repeats: dict[int, Repeat], trained: set[int]) -> None:
        self._repeats = repeats
        self._trained = trained
        self.context: Context = nullcontext

    def __call__(self, layer: int, block: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, D) -> (B, N, D): call block number `layer`."""
        # blocks before the first trained one keep nothing in any case
        trains = torch.is_grad_enabled() and (tokens.requires_grad or layer in self._trained)
        repeat = self._repeats.get(layer) if trains else None
        if repeat is None:
            direct: torch.Tensor = block(tokens)
            return direct
        again = partial(_same_statistics, block, self.context) if repeat.batch_norm else self.context
        found: torch.Tensor = checkpoint(
            block,
            tokens,
            use_reentrant=False,
            preserve_rng_state=repeat.draws,
            context_fn=lambda: (nullcontext(), again()),
        )
        return found


@contextmanager
def _same_statistics(block: nn.Module, context: Context) -> Iterator[None]:
    """Restore the running statistics of BatchNorm at the end of a context."""
    before = [(buffer, buffer.clone()) for buffer in _running_statistics(block)]
    try:
        with context():
            yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)


def _running_statistics(block: nn.Module) -> list[torch.Tensor]:
    return [buffer for module in block.modules() if isinstance(module, _BatchNorm) for buffer in module.buffers()]


def checkpoint_blocks(model: AudioTransformer, request: TrialRequest) -> list[str]:
    """Let a model compute its blocks again in the backward pass, where that changes no result.

    Args:
        model: the model of the request; what trains is decided.
        request: the trial.

    Returns:
        One line per reason why blocks keep their activations, with the number of these blocks.
    """
    trained = {
        layer
        for layer, block in enumerate(model.blocks)
        if any(parameter.requires_grad for parameter in block.parameters())
    }
    probe, error, generators = _Probe(), "", random_state()
    features = torch.empty(CLIPS, request.recipe.frames, request.recipe.mels, device="meta")
    try:
        copy = abstract_model(request, request.dataset.classes or 1).train()
        copy.call_block = probe
        copy(features)
    except Exception as failure:  # whatever a method does
        error = f"what they do is not known: {first_line(failure)}"
    finally:
        restore_random_state(generators)
    model.call_block = CheckpointedBlocks({} if error else probe.repeats, trained)
    reasons = [error] * len(model.blocks) if error else list(probe.reasons.values())
    return [f"{reasons.count(reason)} of {len(model.blocks)} blocks: {reason}" for reason in dict.fromkeys(reasons)]


def is_checkpointed(model: AudioTransformer) -> bool:
    """Return whether `checkpoint_blocks` was called for the model."""
    return isinstance(model.call_block, CheckpointedBlocks)


@contextmanager
def computed_again_in(model: AudioTransformer, context: Context) -> Iterator[None]:
    """Compute blocks that are called inside again in a context; autocast is restored in any case."""
    blocks = model.call_block
    if not isinstance(blocks, CheckpointedBlocks):
        yield
        return
    before, blocks.context = blocks.context, context
    try:
        yield
    finally:
        blocks.context = before


class _Probe:
    """Calls blocks on meta tensors and notes what they do.

    Attributes:
        repeats: what it takes to compute a block again, for the blocks that can be.
        reasons: why a block cannot be computed again, for the others.
    """

    def __init__(self) -> None:
        self.repeats: dict[int, Repeat] = {}
        self.reasons: dict[int, str] = {}

    def __call__(self, layer: int, block: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        python, numpy, kept = random.getstate(), str(np.random.get_state()), _kept(block)
        with Operators() as operators:
            result: torch.Tensor = block(tokens)
        statistics = {id(buffer) for buffer in _running_statistics(block)}
        if random.getstate() != python or str(np.random.get_state()) != numpy:
            self.reasons[layer] = "draws from Python's or NumPy's generator would not be repeated"
        elif _kept(block) != kept or any(id(tensor) not in statistics for tensor in operators.running):
            self.reasons[layer] = "state that the method keeps between calls would be updated twice"
        else:
            self.repeats[layer] = Repeat(operators.draws, bool(operators.running))
        return result


def _kept(block: nn.Module) -> dict[str, object]:
    """Return what shows whether a call changed parameters, buffers or attributes of a block's modules.

    Running statistics of BatchNorm do not count.
    """
    statistics = {id(buffer) for buffer in _running_statistics(block)}
    tensors = [*block.named_parameters(), *block.named_buffers()]
    kept: dict[str, object] = {name: _mark(tensor) for name, tensor in tensors if id(tensor) not in statistics}
    for path, module in block.named_modules():
        for key, value in vars(module).items():
            if key not in {"_parameters", "_buffers", "_modules"}:
                kept[f"{path}.{key}."] = _mark(value)
    return kept


def _mark(value: object) -> object:
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, torch.Tensor):
        return id(value), value._version
    return (id(value), len(value)) if isinstance(value, (list, dict, set)) else id(value)
