"""Optimizers of pre-training: Adam, as the authors of AST and SSAST, or Muon, which needs fewer steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from benchmark.spec.pretraining import Pretraining
from benchmark.tools.pretrain.objectives import Task

BETAS = (0.95, 0.999)  # of AST and SSAST alike
BETAS_BESIDE_MUON = (0.9, 0.98)
LARGEST_NORM = 1.0
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration; https://kellerjordan.github.io/posts/muon
ITERATIONS = 5
EPSILON = 1e-7


class Muon(torch.optim.Optimizer):
    """Steps along the orthogonalized momentum of matrices, of the size that AdamW's steps have.

    As `torch.optim.Muon` with `match_rms_adamw`, but it calculates in single precision instead of bfloat16, which takes
    a CPU many times as long.

    Args:
        matrices: parameters with two dimensions.
        lr: learning rate.
        weight_decay: decoupled, as in AdamW.
        momentum: of Nesterov's kind.
    """

    def __init__(
        self, matrices: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure: nothing here needs one
        """Change the parameters that have gradients."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                average = state["momentum"].lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonalized(matrix.grad.lerp(average, group["momentum"]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * 0.2 * max(matrix.shape) ** 0.5)


def orthogonalized(matrix: torch.Tensor) -> torch.Tensor:
    """Return a matrix whose singular values are between 0.5 and 1.5, by iterations of Newton and Schulz."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=EPSILON)
    first, second, third = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=second, alpha=third), wide, beta=first)
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


class Steps:
    """The optimizers of a task, used as one.

    Args:
        task: whose parameters change.
        run: its settings. `muon` is for the matrices of the blocks; AdamW, with limited gradients, for the rest.
    """

    def __init__(self, task: Task, run: Pretraining) -> None:
        self._task, self._lr, self._limited = task, run.lr, run.optimizer == "muon"
        if run.optimizer == "adam":
            adam = torch.optim.Adam(task.parameters(), lr=run.lr, weight_decay=run.weight_decay, betas=BETAS)
            self._optimizers: list[torch.optim.Optimizer] = [adam]
            return
        matrices = [parameter for parameter in task.backbone.blocks.parameters() if parameter.ndim == 2]
        chosen = set(map(id, matrices))
        rest = [parameter for parameter in task.parameters() if id(parameter) not in chosen]
        self._optimizers = [
            Muon(matrices, run.lr, run.weight_decay),
            torch.optim.AdamW(rest, lr=run.lr, weight_decay=0.0, betas=BETAS_BESIDE_MUON),
        ]

    def step(self, loss: torch.Tensor, share: float) -> None:
        """Change the parameters once.

        Args:
            loss: what is minimized.
            share: of the highest learning rate.
        """
        self._task.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self._limited:
            nn.utils.clip_grad_norm_(self._task.parameters(), LARGEST_NORM)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self._lr * share
            optimizer.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """Return the state of each optimizer."""
        return [optimizer.state_dict() for optimizer in self._optimizers]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Continue from what `state_dict` returned."""
        for optimizer, state in zip(self._optimizers, states, strict=True):
            optimizer.load_state_dict(state)
