"""Forward passes in training: one operation after the other, or compiled."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import cast

import torch
from torch import nn

from benchmark.errors import first_line
from benchmark.methods.registry import build_method
from benchmark.models.transformer import AudioTransformer
from benchmark.records.environment import EAGER
from benchmark.spec.request import TrialRequest
from benchmark.trial.batch_split import split_changes_results
from benchmark.trial.checkpointing import computed_again_in, is_checkpointed
from benchmark.trial.device import is_out_of_memory
from benchmark.trial.precision import Precision
from benchmark.trial.resume import random_state, restore_random_state

Call = Callable[[torch.Tensor], torch.Tensor]  # a model, or its last part: returns (B, classes) logits

logger = logging.getLogger(__name__)

_compiled_for: str | None = None  # step key of the trial for which this process compiled last


class TrainingForward:
    """Calls a model in training, compiled where that is asked for.

    The blocks are compiled before the first batch, blocks of one kind once. On a GPU, forward and backward pass are
    then recorded as CUDA graphs, and replayed without the time that it takes to launch every kernel. Batches of any
    size but the full one, and evaluation, are not compiled. What fails to compile runs as without it, and a warning
    says so.

    Args:
        model: on its device.
        request: the trial; the size of its (micro-)batches is compiled for.
        precision: arithmetic of the passes.
        compiled: whether to compile.

    Attributes:
        name: how full batches run, as records say it.
        recorded_bytes: largest GPU memory of tensors while the graphs were recorded, without the optimizer's; 0 without
            graphs. A replay allocates nothing, so that later peaks lack the graphs' activations.
    """

    def __init__(self, model: AudioTransformer, request: TrialRequest, precision: Precision, *, compiled: bool) -> None:
        self.model = model
        self.request = request
        self.precision = precision
        self.name = EAGER
        self.recorded_bytes = 0
        self._clips = request.recipe.micro_batch or request.recipe.batch_size
        self.is_to_compile = compiled
        self._call_full: Call = self._call

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """(B, frames, mels) -> (B, classes) logits."""
        if len(features) == self._clips:
            return self._call_full(features)
        return self.uncompiled(features, self.precision)

    def uncompiled(self, features: torch.Tensor, precision: Precision, call: Call | None = None) -> torch.Tensor:
        """(B, frames, mels) -> (B, classes) logits, in training or evaluation.

        Args:
            features: input of the call.
            precision: arithmetic of the pass.
            call: the model in another form, or its last part; None for the model.
        """
        eager = nullcontext() if self.name == EAGER else _without_compiler(self.model)
        with eager, precision.autocast():
            logits: torch.Tensor = (call or self.model)(features)
        return logits

    def prepare(self) -> None:
        """Compile for full batches, once. The model's state and all random generators stay as they are."""
        self.is_to_compile = False
        recipe, device = self.request.recipe, self.precision.device
        features = torch.zeros(self._clips, recipe.frames, recipe.mels, device=device)
        with _unchanged(self.model):
            if self._compile(features) and device.type == "cuda" and self._is_replayable():
                self._record(features)
        self.model.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()

    def _call(self, features: torch.Tensor) -> torch.Tensor:
        # one setting of the cache for compiled and recorded passes: another one would compile again
        with self.precision.autocast(keep_casts=self.name == EAGER):
            logits: torch.Tensor = self.model(features)
        return logits

    def _compile(self, features: torch.Tensor) -> bool:
        """Compile the blocks and try them; return whether that went well."""
        _set_up_compiler(self.request.step_key)
        try:
            # code from outside the suite may count its calls: a copy is tried; what is compiled serves the model, too
            model = self.model if self._is_own() else copy.deepcopy(self.model)
            for block in model.blocks:
                block.compile(dynamic=False)
            with self.precision.autocast(keep_casts=False):
                logits = model(features)
            logits.sum().backward()
        except Exception as error:  # of the compiler, or of the model, which raises it again without the compiler
            if is_out_of_memory(error):
                raise
            cause = getattr(error, "inner_exception", error)  # of the compiler's own errors, which name it only
            logger.warning("%s: it is not compiled: %s", self.request.label, first_line(cause))
            for block in self.model.blocks:
                block._compiled_call_impl = None
            return False
        for block in self.model.blocks:
            block.compile(dynamic=False)
        self.name = "compiled blocks"
        return True

    def _is_own(self) -> bool:
        """Return True when all parts of the method are this suite's, whose modules keep nothing between calls."""
        return all(type(part).__module__.startswith("baselines.") for part in build_method(self.request.method).parts)

    def _is_replayable(self) -> bool:
        """Return True when a graph computes what the model does.

        A graph repeats its kernels only: it knows neither of draws on the CPU nor of what Python code keeps. Gradients
        of micro-batches cannot be summed, as they are in the graph's own memory. With activation checkpointing, memory
        counts for more than the time of launches, and a graph would hold its memory during evaluations, too.
        """
        whole = self.request.recipe.micro_batch is None and not is_checkpointed(self.model)
        return whole and self._is_own() and not split_changes_results(self.request)

    def _record(self, features: torch.Tensor) -> None:
        """Record forward and backward pass as CUDA graphs."""
        self.model.zero_grad(set_to_none=True)
        torch.cuda.reset_peak_memory_stats()
        try:
            whole = _WithPrecision(self.model, self.precision)
            replay = torch.cuda.make_graphed_callables(whole, (features,), allow_unused_input=True)
            self._call_full = cast("Call", replay)
        except Exception as error:
            torch.cuda.synchronize()  # raises when CUDA is broken, not only the recording
            if is_out_of_memory(error):
                raise
            logger.warning("%s: no CUDA graph of it: %s", self.request.label, first_line(error))
        else:
            self.name = "compiled blocks, CUDA graphs"
            self.recorded_bytes = torch.cuda.max_memory_allocated()


@contextmanager
def _without_compiler(model: AudioTransformer) -> Iterator[None]:
    """Call blocks as if they were not compiled, also where they are computed again in the backward pass."""

    @contextmanager
    def eager() -> Iterator[None]:
        with torch.compiler.set_stance("force_eager"):  # it takes effect when it is made
            yield

    with eager(), computed_again_in(model, eager):
        yield


class _WithPrecision(nn.Module):
    """A model and its autocast, as one module to record."""

    def __init__(self, model: nn.Module, precision: Precision) -> None:
        super().__init__()
        self.model = model
        self.precision = precision

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        with self.precision.autocast(keep_casts=False):
            logits: torch.Tensor = self.model(features)
        return logits


def _set_up_compiler(step_key: str) -> None:
    """Configure torch.compile, and forget what another kind of step compiled: the number of variants is limited."""
    global _compiled_for  # noqa: PLW0603
    import torch._dynamo
    import torch._inductor.config

    if step_key != _compiled_for:
        torch._dynamo.reset()
    _compiled_for = step_key
    torch._inductor.config.fallback_random = True  # draw as without compilation
    torch._inductor.config.compile_threads = 1  # in this process: others could outlive a trial that is killed


@contextmanager
def _unchanged(model: nn.Module) -> Iterator[None]:
    """Restore buffers, such as statistics of BatchNorm, and random generators at the end."""
    buffers, random = {name: buffer.clone() for name, buffer in model.named_buffers()}, random_state()
    try:
        yield
    finally:
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
        restore_random_state(random)
