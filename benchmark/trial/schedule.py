"""Learning rate over steps and epochs (AAT@dc406ad src/traintest.py)."""

from __future__ import annotations

from typing import Literal

import torch

from benchmark.spec.recipe import Recipe

WARMUP_STRETCH = 50


class Schedule:
    """Multi-step decay after each epoch, and warm-up over the first optimizer steps.

    `stepwise` warm-up sets the rate at every 50th step until the warm-up ends. This undoes a decay in between, as the
    official code does (defect D19). `linear` warm-up scales the decayed rate at every step.

    Args:
        optimizer: its rates are set.
        recipe: learning rate, warm-up and decay.
        warmup: see above.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, recipe: Recipe, warmup: Literal["stepwise", "linear"]) -> None:
        self.optimizer = optimizer
        self.recipe = recipe
        self.warmup = warmup
        self.steps = 0
        self.epochs = 0
        self.rate = recipe.lr

    def before_step(self) -> None:
        """Set the rate of the next optimizer step."""
        applied, ramp = self.rate, self.recipe.warmup_steps
        if ramp and self.warmup == "linear":
            applied = self.rate * min(1.0, (self.steps + 1) / ramp)
        elif ramp and self.steps <= ramp and self.steps % WARMUP_STRETCH == 0:
            applied = self.rate = self.steps / ramp * self.recipe.lr
        for group in self.optimizer.param_groups:
            group["lr"] = applied * group.get("lr_scale", 1.0)
        self.steps += 1

    def after_epoch(self) -> None:
        """Decay the rate if the recipe says so for this epoch."""
        self.epochs += 1
        beyond = self.epochs - self.recipe.decay_start
        if beyond >= 0 and beyond % self.recipe.decay_step == 0:
            self.rate *= self.recipe.decay_gamma

    def state(self) -> dict[str, float]:
        """Return the content for the resume state."""
        return {"steps": self.steps, "epochs": self.epochs, "rate": self.rate}

    def load_state(self, state: dict[str, float]) -> None:
        """Continue from a resume state."""
        self.steps, self.epochs, self.rate = int(state["steps"]), int(state["epochs"]), state["rate"]

    @property
    def applied(self) -> float:
        """Return the rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])
