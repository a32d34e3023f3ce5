"""Training and evaluation passes over batches."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler

from benchmark.data.loader import Batch
from benchmark.methods.contract import ParamGroup
from benchmark.models.transformer import AudioTransformer
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import load_trained, trained_tensors
from benchmark.trial.checkpointing import checkpoint_blocks
from benchmark.trial.clock import Clock
from benchmark.trial.compiled import Call, TrainingForward
from benchmark.trial.energy import EnergyMeter
from benchmark.trial.frozen import attribute_digest
from benchmark.trial.layer_decay import decayed_groups
from benchmark.trial.loss import loss_of, share_of_part
from benchmark.trial.matrix_products import fast_products
from benchmark.trial.memory import PeakMemory
from benchmark.trial.optimizer import AdamW
from benchmark.trial.precision import Precision, halve_frozen
from benchmark.trial.resume import UnfitStateError
from benchmark.trial.schedule import Schedule

logger = logging.getLogger(__name__)


def _sent_to_host(value: torch.Tensor) -> Callable[[], float]:
    """Return a function that reads a number, without waiting for what its GPU is asked to do after this call."""
    if not value.is_cuda:
        return value.item
    copy = value.to("cpu", non_blocking=True)
    arrived = torch.cuda.current_stream().record_event()

    def read() -> float:
        arrived.synchronize()
        return copy.item()

    return read


def _optimizer_groups(
    model: AudioTransformer, groups: Iterable[ParamGroup], layer_decay: float
) -> list[dict[str, Any]]:
    """Return the trainable parameters in the optimizer's form; the first group follows the recipe."""
    rest = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if layer_decay < 1:
        groups = decayed_groups(list(rest), groups, len(model.blocks), layer_decay, model.final_norms())
    special: list[dict[str, Any]] = []
    for group in groups:
        decay = {} if group.weight_decay is None else {"weight_decay": group.weight_decay}
        special.append({"params": [rest.pop(name) for name in group.names], "lr_scale": group.lr_scale, **decay})
    return [{"params": list(rest.values()), "lr_scale": 1.0}, *special]


class Trainer:
    """A model with optimizer, loss scale and schedule; trains or evaluates one pass at a time.

    Args:
        model: on `device`; parameters with `requires_grad` are trained.
        request: recipe and protocol.
        device: where the model computes.
        groups: parameters whose learning rate or weight decay differs from the recipe's.
        compiled: whether training is compiled, which changes results by rounding only.
        checkpointing: whether blocks compute their activations again in the backward pass, which changes no result.
        steps_per_epoch: for a cosine schedule.
        class_weights: (classes,) weights of the loss; None weighs all classes equally.
    """

    def __init__(
        self,
        model: AudioTransformer,
        request: TrialRequest,
        device: torch.device,
        groups: Iterable[ParamGroup] = (),
        *,
        compiled: bool = False,
        checkpointing: bool = False,
        steps_per_epoch: int = 1,
        class_weights: torch.Tensor | None = None,
    ) -> None:
        recipe = request.recipe
        self.model = model
        self.recipe = recipe
        self.class_weights = None if class_weights is None else class_weights.to(device)
        self.micro_batch = recipe.micro_batch
        self.clock = Clock(device)
        self.memory = PeakMemory(device)
        self.energy = EnergyMeter(device)
        self.precision = Precision(device, recipe.precision)
        self.evaluation = Precision(device, request.eval_precision, tf32=request.protocol.eval_tf32 == "yes")
        if self.precision.half and self.evaluation.half:
            halve_frozen(model, self.precision.half)
        if checkpointing:
            for line in checkpoint_blocks(model, request):
                logger.warning("%s: activations are kept in %s", request.label, line)
        self.forward = TrainingForward(model, request, self.precision, compiled=compiled)
        self.optimizer = AdamW(
            _optimizer_groups(model, groups, recipe.layer_decay),
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.scaler = GradScaler(device.type, enabled=self.precision.scales_loss)
        self.schedule = Schedule(self.optimizer, recipe, request.protocol.warmup, steps_per_epoch)

    def train(self, batches: Iterable[Batch], call: Call | None = None) -> float:
        """Train for one pass over the batches.

        Args:
            batches: features, or what `call` takes, with targets and observed classes.
            call: returns logits; None for the model.

        Returns:
            The mean loss over clips. The pass ends at the first loss that is not finite, and the mean is not finite.
        """
        self.model.train()
        if self.forward.is_to_compile:  # before the data workers begin: a recording must not be disturbed
            with self.clock.measure("setup"):
                self.forward.prepare()
        total, clips = 0.0, 0
        with fast_products(), self.energy.measure(), self.memory.in_training(), self.clock.measure("train"):
            for value, size in self._losses(self.clock.waiting(batches), call):
                total += value * size
                clips += size
                if not math.isfinite(value):
                    break
        if self.forward.recorded_bytes:
            self.memory.training_takes(self.forward.recorded_bytes + self._state_bytes())
        return total / clips

    def _state_bytes(self) -> int:
        """Return the size of the optimizer's tensors."""
        states = self.optimizer.state.values()
        tensors = (tensor for state in states for tensor in state.values() if isinstance(tensor, torch.Tensor))
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def _losses(self, batches: Iterable[Batch], call: Call | None) -> Iterator[tuple[float, int]]:
        """Train, and yield the loss and the clips of every batch, just before the next batch is trained on.

        A GPU still computes the backward pass of a batch when its loss is yielded: it has work while this process
        prepares the next batch.
        """
        read_loss, size = None, 0
        for batch in batches:
            if read_loss:
                yield read_loss(), size
            self.schedule.before_step()
            self.optimizer.zero_grad(set_to_none=True)
            read_loss, size = self._backward(batch, call), len(batch[0])
            self._clip_gradients()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        if read_loss:
            yield read_loss(), size

    def _backward(self, batch: Batch, call: Call | None) -> Callable[[], float]:
        """Compute the gradients of a batch, one micro-batch after the other; return a function that reads its loss."""
        size = self.micro_batch or len(batch[0])
        value: torch.Tensor = torch.zeros((), device=self.clock.device)
        read_loss: Callable[[], float] = value.item
        for features, targets, observed in zip(*(torch.split(tensor, size) for tensor in batch), strict=True):
            share = 1.0
            if size < len(batch[0]):
                share = share_of_part((targets, observed), batch[1:], self.recipe.loss, self.class_weights)
            if not share:
                continue
            logits = self.forward.uncompiled(features, self.precision, call) if call else self.forward(features)
            with self.precision.autocast():
                loss = share * loss_of(
                    logits, targets, observed, self.recipe.loss, self.class_weights, self.recipe.label_smoothing
                )
            value = value + loss.detach()
            read_loss = _sent_to_host(value)
            torch.autograd.backward(self.scaler.scale(loss))
        return read_loss

    def _clip_gradients(self) -> None:
        """Scale the gradient of all trained parameters down to the recipe's largest norm, without the loss scale."""
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            trained = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(trained, self.recipe.clip_norm)

    def state(self) -> dict[str, Any]:
        """Return the content for the resume state: trained tensors, optimizer, loss scale, schedule, seconds so far."""
        return {
            "model": trained_tensors(self.model),
            "attributes": attribute_digest(self.model),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "schedule": self.schedule.state(),
            "seconds": self.clock.so_far(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a resume state, on any device.

        Raises:
            UnfitStateError: the state is of another model. Nothing was loaded.
        """
        if state.get("attributes") not in {None, attribute_digest(self.model)}:
            raise UnfitStateError("what the method drew at its start is not what it was")
        before = self.optimizer.state_dict()
        try:
            for group in state["optimizer"]["param_groups"]:
                group["fused"] = True  # states of earlier versions were written without it
            self.optimizer.load_state_dict(state["optimizer"])
            load_trained(self.model, state["model"])
        except ValueError as error:
            self.optimizer.load_state_dict(before)
            raise UnfitStateError(f"it does not match the model: {error}") from None
        if state["scaler"]:  # empty where no loss scale was needed, which torch refuses
            self.scaler.load_state_dict(state["scaler"])
        self.schedule.load_state(state["schedule"])
        setup = self.clock.seconds.get("setup", 0.0)
        self.clock.seconds |= {**state["seconds"], "setup": state["seconds"].get("setup", 0.0) + setup}

    def predict(self, batches: Iterable[Batch], call: Call | None = None) -> Batch:
        """Return logits, targets and observed classes of all clips, each (clips, classes) float32 on the CPU.

        Args:
            batches: features, or what `call` takes, with targets and observed classes.
            call: returns logits; None for the model.
        """
        self.model.eval()
        outputs, truths, seen = [], [], []
        with (
            fast_products(),
            self.evaluation.float32_products(),
            self.memory.in_evaluation(),
            self.clock.measure("eval"),
            torch.inference_mode(),
        ):
            for features, targets, observed in batches:
                logits = self.forward.uncompiled(features, self.evaluation, call)
                outputs.append(logits.float().cpu())
                truths.append(targets.cpu())
                seen.append(observed.cpu())
        return torch.cat(outputs), torch.cat(truths), torch.cat(seen)
