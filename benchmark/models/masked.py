"""SSAST's pre-training: masked patches are told apart and reconstructed.

Source: Gong et al., AAAI 2022, arXiv:2110.09784, section 3; SSAST@a1a3eec src/models/ast_models.py (`mpc`, `mpg`,
`gen_maskid_patch`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmark.models.transformer import PATCH, AudioTransformer

MASKED_SHARE = 400 / 512  # of the patches
CLUSTERS = (3, 4, 5)  # sides of the squares
GENERATIVE_WEIGHT = 10.0
FEWEST_PATCHES = 8


@dataclass(frozen=True)
class MaskedLoss:
    """Losses of a batch, and the share of masked patches that were told from the others of their clip."""

    contrastive: torch.Tensor
    generative: torch.Tensor
    accuracy: torch.Tensor

    @property
    def joint(self) -> torch.Tensor:
        """What is trained on."""
        return self.contrastive + GENERATIVE_WEIGHT * self.generative


class MaskedPatches(nn.Module):
    """A Transformer with the mask vector and the two prediction heads of SSAST, named as in its checkpoints.

    Args:
        model: with patches that do not overlap.

    Raises:
        ValueError: the patches overlap, or there are too few.
    """

    def __init__(self, model: AudioTransformer) -> None:
        super().__init__()
        if model.config.stride != (PATCH, PATCH):
            raise ValueError(f"patches must not overlap: stride {PATCH}, {PATCH}")
        if math.prod(model.config.grid) < FEWEST_PATCHES:
            raise ValueError(f"{math.prod(model.config.grid)} patches are too few to mask some of them")
        width = model.width
        self.model = model
        self.mask_embed = nn.Parameter(nn.init.xavier_normal_(torch.empty(1, 1, width)))
        self.cpredlayer, self.gpredlayer = (
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PATCH * PATCH)) for _ in range(2)
        )

    def forward(self, x: torch.Tensor, rng: np.random.Generator) -> MaskedLoss:
        """Losses of (B, frames, mels) normalised filter banks; each of the two tasks has masks of its own."""
        targets = functional.unfold(x.unsqueeze(1).transpose(2, 3), PATCH, stride=PATCH).transpose(1, 2)
        patches = self.model.patches(x)
        outputs = []
        for head in (self.cpredlayer, self.gpredlayer):
            masked = torch.from_numpy(cluster_masks(rng, len(x), self.model.config.grid)).to(x.device)
            index = masked.unsqueeze(2)
            hidden = patches.scatter(
                1, index.expand(-1, -1, patches.shape[2]), self.mask_embed.expand(len(x), masked.shape[1], -1)
            )
            tokens = self.model.encode(hidden)[:, self.model.config.prefix :]
            at_masked = tokens.gather(1, index.expand(-1, -1, tokens.shape[2]))
            outputs.append((head(at_masked), targets.gather(1, index.expand(-1, -1, targets.shape[2]))))
        (told, own), (drawn, true) = outputs
        scores = own @ told.transpose(1, 2)  # (B, masked targets, masked predictions)
        right = torch.arange(scores.shape[1], device=x.device)
        contrastive = -functional.log_softmax(scores, dim=2).diagonal(dim1=1, dim2=2).mean()
        accuracy = (scores.argmax(dim=1) == right).float().mean()
        return MaskedLoss(contrastive, functional.mse_loss(drawn, true), accuracy)


def masked_count(grid: tuple[int, int]) -> int:
    """Patches that are masked: 400 of 512, scaled to the grid."""
    return round(MASKED_SHARE * math.prod(grid))


def cluster_masks(rng: np.random.Generator, clips: int, grid: tuple[int, int]) -> np.ndarray:
    """(clips, masked) indices of masked patches, drawn as squares of 3x3 to 5x5 until there are enough.

    As in the official code a square that leaves the grid at the right goes on in the next row of patches, the first
    patch is never masked, and what is too many is left out from the end.
    """
    total, wanted = math.prod(grid), masked_count(grid)
    found = np.empty((clips, wanted), np.int64)
    for row in found:
        side = int(rng.choice(CLUSTERS))
        square = np.add.outer(np.arange(side) * grid[1], np.arange(side)).ravel()
        masked = np.zeros(total, bool)
        while masked.sum() <= wanted:
            cells = int(rng.integers(total)) + square
            masked[cells[(cells > 0) & (cells < total)]] = True
        row[:] = np.flatnonzero(masked)[:wanted]
    return found
