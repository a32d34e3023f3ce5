"""Learning rate over steps and epochs (AAT@dc406ad src/traintest.py)."""

from __future__ import annotations

import math
from typing import Literal

import torch

from benchmark.spec.recipe import Recipe

WARMUP_STRETCH = 50


class Schedule:
    """Multi-step decay after each epoch, and warm-up over the first optimizer steps; or a cosine with linear warm-up.

    `stepwise` warm-up sets the rate at every 50th step until the warm-up ends. This undoes a decay in between, as the
    official code does (defect D19). `linear` warm-up scales the decayed rate at every step. A cosine changes the rate
    at every step, see `cosine_rate`.

    Args:
        optimizer: its rates are set.
        recipe: learning rate, warm-up and decay.
        warmup: see above; of a cosine it is linear.
        steps_per_epoch: optimizer steps of an epoch, which only a cosine has to know.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        warmup: Literal["stepwise", "linear"],
        steps_per_epoch: int = 1,
    ) -> None:
        self.optimizer = optimizer
        self.recipe = recipe
        self.warmup = warmup
        self.total_steps = recipe.epochs * steps_per_epoch
        self.steps = 0
        self.epochs = 0
        self.rate = recipe.lr

    def before_step(self) -> None:
        """Set the rate of the next optimizer step."""
        applied, ramp = self.rate, self.recipe.warmup_steps
        if self.recipe.schedule == "cosine":
            applied = self.rate = cosine_rate(self.recipe, self.steps, self.total_steps)
        elif ramp and self.warmup == "linear":
            applied = self.rate * min(1.0, (self.steps + 1) / ramp)
        elif ramp and self.steps <= ramp and self.steps % WARMUP_STRETCH == 0:
            applied = self.rate = self.steps / ramp * self.recipe.lr
        for group in self.optimizer.param_groups:
            group["lr"] = applied * group.get("lr_scale", 1.0)
        self.steps += 1

    def after_epoch(self) -> None:
        """Decay the rate if the recipe says so for this epoch."""
        self.epochs += 1
        if self.recipe.schedule == "cosine":
            return
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


def cosine_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the learning rate of a step (from 0): a linear rise to `lr`, then half a cosine.

    After W warm-up steps, step s of S has the rate m + (lr - m) (1 + cos(pi (s - W) / (S - W))) / 2 with
    m = min_lr_share x lr, as torch's `CosineAnnealingLR`. Step s of the warm-up has the rate lr (s + 1) / W.

    Args:
        recipe: learning rate, its lowest share, and warm-up.
        step: number of the step.
        steps: optimizer steps of the whole training.
    """
    ramp, lowest = recipe.warmup_steps, recipe.min_lr_share * recipe.lr
    if step < ramp:
        return recipe.lr * (step + 1) / ramp
    progress = min(1.0, (step - ramp) / max(1, steps - ramp))
    return lowest + (recipe.lr - lowest) * (1 + math.cos(math.pi * progress)) / 2
