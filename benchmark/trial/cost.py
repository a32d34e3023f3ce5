"""Count operations and memory of a training step on fake tensors: no weights, no data, on any machine.

A multiply-add counts as two operations. Attention counts as its two matrix products, and twice that backward.
"""

from __future__ import annotations

import inspect
import weakref
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from benchmark.models.transformer import AudioTransformer
from benchmark.records.schema import Cost
from benchmark.spec.recipe import EVAL_FACTOR
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import abstract_model
from benchmark.trial.checkpointing import checkpoint_blocks
from benchmark.trial.frozen_features import FrozenPart, output_bytes
from benchmark.trial.loss import loss_of
from benchmark.trial.plain_mode import PlainMode
from benchmark.trial.precision import autocast_type

MOMENTS = 2  # tensors that AdamW keeps per parameter


def count_cost(request: TrialRequest, classes: int, *, checkpointing: bool = False) -> Cost:
    """Count a training step of one batch, or of one micro-batch if the recipe splits batches.

    Args:
        request: shape of the step.
        classes: number of outputs of the head.
        checkpointing: whether activations are computed again in the backward pass, where that changes no result.

    Raises:
        BenchmarkError: the method does not fit the model.
    """
    model, recipe = abstract_model(request, classes), request.recipe
    if checkpointing:
        checkpoint_blocks(model, request)
    clips = min(recipe.micro_batch or recipe.batch_size, recipe.batch_size)
    sizes = {name: tensor.numel() * tensor.element_size() for name, tensor in model.named_parameters()}
    trained = sum(sizes[name] for name, parameter in model.named_parameters() if parameter.requires_grad)
    with _FakeTensors(allow_non_fake_inputs=True):
        weights = _empty_weights(model)
        with _Counter(weights) as counter:
            features = torch.empty(clips, recipe.frames, recipe.mels)
            targets, observed = torch.zeros(clips, classes), torch.ones(clips, classes)
            step = _Step(model, request, _Saved(weights), counter)
            named = {f"model.{name}": tensor for name, tensor in weights.items()}
            torch.func.functional_call(step, named, (features, targets, observed))
        eval_peak_bytes = _evaluation_peak(model, weights, request)
        frozen = _frozen_part(model, weights, request)
    return Cost(
        clips=clips,
        forward_flops=round(step.forward_flops / clips),
        train_flops=round(counter.operations / clips),
        saved_bytes=step.saved.bytes,
        weight_bytes=sum(sizes.values()),
        optimizer_bytes=MOMENTS * trained,
        stored_bytes=trained,
        peak_bytes=counter.peak_bytes + MOMENTS * trained,
        eval_peak_bytes=eval_peak_bytes + MOMENTS * trained,
        **frozen,
    )


class _Step(torch.nn.Module):
    """A training step as one module: what is computed again in the backward pass needs the weights of the call, too.

    Args:
        model: the model of the request.
        request: loss and precision.
        saved: counts what is kept for the backward pass.
        counter: counts operations.

    Attributes:
        forward_flops: operations of the forward pass.
    """

    def __init__(self, model: torch.nn.Module, request: TrialRequest, saved: _Saved, counter: _Counter) -> None:
        super().__init__()
        self.model = model
        self.recipe = request.recipe
        self.saved = saved
        self.counter = counter
        self.forward_flops = 0

    def forward(self, features: torch.Tensor, targets: torch.Tensor, observed: torch.Tensor) -> None:
        """(B, frames, mels), (B, classes), (B, classes): compute the gradients."""
        half = autocast_type(self.recipe.precision, "cuda")
        with self.saved.hooks(), torch.autocast("cpu", half or torch.float16, enabled=half is not None):
            logits = self.model(features)
            loss = loss_of(logits, targets, observed, self.recipe.loss, smoothing=self.recipe.label_smoothing)
        del logits
        self.forward_flops = self.counter.operations
        torch.autograd.backward(loss)


def _evaluation_peak(model: torch.nn.Module, weights: dict[str, torch.Tensor], request: TrialRequest) -> int:
    """Return the peak bytes of all tensors of an evaluation batch, which micro-batches do not split.

    It is counted in float32, as some backbones are evaluated so.
    """
    recipe = request.recipe
    with torch.inference_mode(), _Counter(weights) as counter:
        features = torch.empty(EVAL_FACTOR * recipe.batch_size, recipe.frames, recipe.mels)
        torch.func.functional_call(model.eval(), weights, (features,))
    return int(counter.peak_bytes)


class _Before(torch.nn.Module):
    """The frozen part of a model as a module, for `functional_call`."""

    def __init__(self, part: FrozenPart) -> None:
        super().__init__()
        self.model = part.model
        self.part = part

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, frames, mels) -> the part's output."""
        return self.part.before(features)


def _frozen_part(model: AudioTransformer, weights: dict[str, torch.Tensor], request: TrialRequest) -> dict[str, int]:
    """Return size and operations of what evaluation may keep of a clip."""
    part = FrozenPart.of(model.eval())
    if part is None:
        return {"frozen_bytes": 0, "frozen_flops": 0}
    # inference mode would hide the matrix products in operators that are not counted
    with torch.no_grad(), _Counter(weights) as counter:
        named = {f"model.{name}": tensor for name, tensor in weights.items()}
        features = torch.empty(1, request.recipe.frames, request.recipe.mels)
        torch.func.functional_call(_Before(part), named, (features,))
    return {"frozen_bytes": output_bytes(part), "frozen_flops": counter.operations}


def _empty_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return tensors without content in place of a model's parameters and buffers; what it shares, they share."""
    empty: dict[int, torch.Tensor] = {}
    named = model.state_dict(keep_vars=True)
    for tensor in named.values():
        if id(tensor) not in empty:
            empty[id(tensor)] = torch.empty(tensor.shape, dtype=tensor.dtype, requires_grad=tensor.requires_grad)
    return {name: empty[id(tensor)] for name, tensor in named.items()}


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    count: int = sdpa_flop_count(query.shape, key.shape, value.shape)  # type: ignore[no-untyped-call]
    return count


def _attention_backward(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    count: int = sdpa_flop_count(query.shape, key.shape, value.shape)  # type: ignore[no-untyped-call]
    return 2 * count


_FORMULAS: dict[Any, Any] = {  # torch's own do not know the CPU's operators of attention
    **flop_registry,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}

_DEVICE = torch.ops.prim.device.default  # more than half of all calls


class _Saved:
    """Bytes that autograd keeps for the backward pass. Each storage counts once, the model's tensors do not count."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        self._weights = {_storage(tensor) for tensor in weights.values()}
        self._kept: dict[int, torch.Tensor] = {}

    @property
    def bytes(self) -> int:
        return sum(tensor.untyped_storage().nbytes() for tensor in self._kept.values())

    def hooks(self) -> torch.autograd.graph.saved_tensors_hooks:
        return torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: torch.Tensor) -> torch.Tensor:
        if (storage := _storage(tensor)) not in self._weights:
            self._kept[storage] = tensor
        return tensor


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


class _FakeTensors(PlainMode, FakeTensorMode):  # type: ignore[no-untyped-call]
    """Tensors without values on any device."""

    __torch_dispatch__ = inspect.unwrap(FakeTensorMode.__torch_dispatch__)


class _Counter(PlainMode):
    """Operations so far, and the largest number of bytes that tensors held at one time.

    Args:
        weights: tensors that are there from the beginning.
    """

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0
        self.peak_bytes = 0
        self._bytes = 0
        self._seen: set[int] = set()
        for tensor in weights.values():
            self._follow(tensor.untyped_storage())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is _DEVICE:
            return args[0].fake_device
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if formula := _FORMULAS.get(func.overloadpacket):
            self.operations += formula(*args, **kwargs, out_val=result)
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor):
                self._follow(tensor.untyped_storage())
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = int(storage._cdata), storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self._bytes += size
        self.peak_bytes = max(self.peak_bytes, self._bytes)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self._bytes -= size
