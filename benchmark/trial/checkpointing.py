"""Activation checkpointing: blocks whose activations are computed again in the backward pass instead of kept.

Results stay equal, bit for bit on a CPU. A block that changes something while it computes (statistics of BatchNorm, an
attribute), or draws from Python's or NumPy's generator, would do so twice; it keeps its activations.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from benchmark.errors import first_line
from benchmark.models.transformer import AudioTransformer
from benchmark.spec.request import TrialRequest
from benchmark.trial.batch_split import CLIPS, Operators
from benchmark.trial.build import abstract_model
from benchmark.trial.resume import random_state, restore_random_state

Context = Callable[[], AbstractContextManager[Any]]


class CheckpointedBlocks:
    """Calls the blocks of a model, and keeps only the input of those that can be computed again.

    Args:
        draws: by the number of a block, whether it draws from torch's generators, which the second computation repeats;
            blocks that are missing keep their activations.
        trained: numbers of the blocks with trained parameters.

    Attributes:
        context: what blocks that are called now are computed again in.
    """

    def __init__(self, draws: dict[int, bool], trained: set[int]) -> None:
        self._draws = draws
        self._trained = trained
        self.context: Context = nullcontext

    def __call__(self, layer: int, block: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, D) -> (B, N, D): call block number `layer`."""
        # blocks before the first trained one keep nothing in any case
        trains = torch.is_grad_enabled() and (tokens.requires_grad or layer in self._trained)
        if layer not in self._draws or not trains:
            direct: torch.Tensor = block(tokens)
            return direct
        context = self.context
        found: torch.Tensor = checkpoint(
            block,
            tokens,
            use_reentrant=False,
            preserve_rng_state=self._draws[layer],
            context_fn=lambda: (nullcontext(), context()),
        )
        return found


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
    draws = {} if error else probe.draws
    model.call_block = CheckpointedBlocks(draws, trained)
    reasons = [error] * len(model.blocks) if error else list(probe.reasons.values())
    return [f"{reasons.count(reason)} of {len(model.blocks)} blocks: {reason}" for reason in dict.fromkeys(reasons)]


def is_checkpointed(model: AudioTransformer) -> bool:
    """Return whether `checkpoint_blocks` was called for the model."""
    return isinstance(model.call_block, CheckpointedBlocks)


@contextmanager
def computed_again_in(model: AudioTransformer, context: Context) -> Iterator[None]:
    """Let blocks that are called here be computed again in a context; autocast is restored in any case."""
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
        draws: whether a block draws from torch's generators, for the blocks that can be computed again.
        reasons: why a block cannot be computed again, for the others.
    """

    def __init__(self) -> None:
        self.draws: dict[int, bool] = {}
        self.reasons: dict[int, str] = {}

    def __call__(self, layer: int, block: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        python, numpy, kept = random.getstate(), str(np.random.get_state()), _kept(block)
        with Operators() as operators:
            result: torch.Tensor = block(tokens)
        if operators.batch_norm:
            self.reasons[layer] = "BatchNorm would update its statistics twice"
        elif random.getstate() != python or str(np.random.get_state()) != numpy:
            self.reasons[layer] = "draws from Python's or NumPy's generator would not be repeated"
        elif _kept(block) != kept:
            self.reasons[layer] = "what the method keeps between calls would change twice"
        else:
            self.draws[layer] = operators.draws
        return result


def _kept(block: nn.Module) -> dict[str, object]:
    """Return what shows whether a call changed parameters, buffers or attributes of a block's modules."""
    tensors = [*block.named_parameters(), *block.named_buffers()]
    kept: dict[str, object] = {name: (id(tensor), tensor._version) for name, tensor in tensors}
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
