"""Training and evaluation passes over batches."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.nn import functional

from benchmark.data.loader import Batch
from benchmark.methods.contract import ParamGroup
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import load_trained, trained_tensors
from benchmark.trial.memory import PeakMemory
from benchmark.trial.optimizer import AdamW
from benchmark.trial.resume import UnfitStateError
from benchmark.trial.schedule import Schedule


@dataclass
class Clock:
    """Seconds by purpose.

    Attributes:
        device: synchronised before a time is taken.
        seconds: `data`: waiting for training data; `train`: training without this wait; `eval`: evaluation, its data
            included; `setup` and `total` are added by others.
        began: when the trial began, as `time.perf_counter`.
    """

    device: torch.device
    seconds: dict[str, float] = field(default_factory=lambda: {"data": 0.0, "train": 0.0, "eval": 0.0})
    began: float = field(default_factory=time.perf_counter)

    def so_far(self) -> dict[str, float]:
        """Return the seconds with their total, earlier processes of an interrupted trial included."""
        return {**self.seconds, "total": self.seconds.get("total", 0.0) + time.perf_counter() - self.began}

    def waiting(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches and count the wait for each as `data`."""
        source = iter(batches)
        while True:
            start = time.perf_counter()
            batch = next(source, None)
            self.seconds["data"] += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    @contextmanager
    def measure(self, purpose: str) -> Iterator[None]:
        """Count the time inside as `purpose`, minus what `waiting` counts; synchronise a GPU at the end."""
        start, waited = time.perf_counter(), self.seconds["data"]
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds[purpose] += time.perf_counter() - start - (self.seconds["data"] - waited)


@dataclass(frozen=True)
class Precision:
    """Arithmetic of a recipe's precision on a device: `amp` is float16 autocast on a GPU and float32 on a CPU."""

    device: torch.device
    requested: Literal["amp", "float32"]

    @property
    def half(self) -> bool:
        """Return True when float16 autocast is used."""
        return self.requested == "amp" and self.device.type == "cuda"

    @property
    def name(self) -> str:
        """Return the name that records use."""
        return "float16 autocast" if self.half else "float32"

    def autocast(self) -> torch.autocast:
        """Return the context of a forward pass."""
        return torch.autocast(self.device.type, dtype=torch.float16, enabled=self.half)


def device_name(device: torch.device) -> str:
    """Return the name that records use."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def loss_of(
    logits: torch.Tensor, targets: torch.Tensor, observed: torch.Tensor, kind: Literal["cross_entropy", "bce"]
) -> torch.Tensor:
    """Return the mean loss of a batch.

    Args:
        logits: (B, classes).
        targets: (B, classes), multi-hot, possibly mixed.
        observed: (B, classes) weights; classes with 0 do not count in `bce`.
        kind: loss of the recipe.
    """
    if kind == "cross_entropy":
        return functional.cross_entropy(logits, targets.argmax(1))
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (losses * observed).sum() / observed.sum()


def _optimizer_groups(model: nn.Module, groups: Iterable[ParamGroup]) -> list[dict[str, Any]]:
    """Return the trainable parameters in the optimizer's form; the first group follows the recipe."""
    rest = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
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
    """

    def __init__(
        self, model: nn.Module, request: TrialRequest, device: torch.device, groups: Iterable[ParamGroup] = ()
    ) -> None:
        recipe = request.recipe
        self.model = model
        self.loss = recipe.loss
        self.micro_batch = recipe.micro_batch
        self.clock = Clock(device)
        self.memory = PeakMemory(device)
        self.precision = Precision(device, recipe.precision)
        # the official SSAST is evaluated without autocast, AST with it (defect D8)
        supervised = request.backbone.pretraining == "supervised"
        self.evaluation = Precision(device, recipe.precision if supervised else "float32")
        self.optimizer = AdamW(_optimizer_groups(model, groups), lr=recipe.lr, weight_decay=recipe.weight_decay)
        self.scaler = GradScaler(device.type, enabled=self.precision.half)
        self.schedule = Schedule(self.optimizer, recipe, request.protocol.warmup)

    def train(self, batches: Iterable[Batch]) -> float:
        """Train for one pass over the batches.

        Returns:
            The mean loss over clips. The pass ends at the first loss that is not finite, and the mean is not finite.
        """
        self.model.train()
        total, clips = 0.0, 0
        with self.memory.in_training(), self.clock.measure("train"):
            for batch in self.clock.waiting(batches):
                self.schedule.before_step()
                self.optimizer.zero_grad(set_to_none=True)
                value = self._backward(batch)
                self.scaler.step(self.optimizer)
                self.scaler.update()
                total += value * len(batch[0])
                clips += len(batch[0])
                if not math.isfinite(value):
                    break
        return total / clips

    def _backward(self, batch: Batch) -> float:
        """Compute the gradients of a batch, one micro-batch after the other, and return its loss."""
        size = self.micro_batch or len(batch[0])
        value: torch.Tensor | float = 0.0
        for features, targets, observed in zip(*(torch.split(tensor, size) for tensor in batch), strict=True):
            share = 1.0
            if size < len(batch[0]):  # weight of the part's mean in the batch's mean
                share = float(observed.sum() / batch[2].sum()) if self.loss == "bce" else len(features) / len(batch[0])
            if not share:
                continue
            with self.precision.autocast():
                loss = share * loss_of(self.model(features), targets, observed, self.loss)
            torch.autograd.backward(self.scaler.scale(loss))
            value = value + loss.detach()
        return float(value)

    def state(self) -> dict[str, Any]:
        """Return the content for the resume state: trained tensors, optimizer, loss scale, schedule, seconds so far."""
        return {
            "model": trained_tensors(self.model),
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
        before = self.optimizer.state_dict()
        try:
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

    def predict(self, batches: Iterable[Batch]) -> Batch:
        """Return logits, targets and observed classes of all clips, each (clips, classes) float32 on the CPU."""
        self.model.eval()
        outputs, truths, seen = [], [], []
        with self.memory.in_evaluation(), self.clock.measure("eval"), torch.inference_mode():
            for features, targets, observed in batches:
                with self.evaluation.autocast():
                    logits = self.model(features)
                outputs.append(logits.float().cpu())
                truths.append(targets.cpu())
                seen.append(observed.cpu())
        return torch.cat(outputs), torch.cat(truths), torch.cat(seen)
