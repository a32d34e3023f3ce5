"""The learning rate over steps and epochs (AAT@dc406ad src/traintest.py)."""

from __future__ import annotations

from typing import Literal

import torch

from benchmark.spec.recipe import Recipe

WARMUP_STRETCH = 50


class Schedule:
    """Multi-step decay after each epoch, and warm-up over the first optimiser steps.

    `stepwise` warm-up sets the rate at every 50th step up to the last warm-up step and leaves it there, which undoes a
    decay in between, as the official code does (defect D19); `linear` scales the decayed rate at every step.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, recipe: Recipe, warmup: Literal["stepwise", "linear"]) -> None:
        self.optimizer = optimizer
        self.recipe = recipe
        self.warmup = warmup
        self.steps = 0
        self.epochs = 0
        self.rate = recipe.lr

    def before_step(self) -> None:
        """Set the rate of the next optimiser step."""
        applied, ramp = self.rate, self.recipe.warmup_steps
        if ramp and self.warmup == "linear":
            applied = self.rate * min(1.0, (self.steps + 1) / ramp)
        elif ramp and self.steps <= ramp and self.steps % WARMUP_STRETCH == 0:
            applied = self.rate = self.steps / ramp * self.recipe.lr
        for group in self.optimizer.param_groups:
            group["lr"] = applied * group.get("lr_scale", 1.0)
        self.steps += 1

    def after_epoch(self) -> None:
        """Decay where the recipe says so."""
        self.epochs += 1
        beyond = self.epochs - self.recipe.decay_start
        if beyond >= 0 and beyond % self.recipe.decay_step == 0:
            self.rate *= self.recipe.decay_gamma

    def state(self) -> dict[str, float]:
        """For a checkpoint."""
        return {"steps": self.steps, "epochs": self.epochs, "rate": self.rate}

    def load_state(self, state: dict[str, float]) -> None:
        """Go on from a checkpoint."""
        self.steps, self.epochs, self.rate = int(state["steps"]), int(state["epochs"]), state["rate"]

    @property
    def applied(self) -> float:
        """The rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])
