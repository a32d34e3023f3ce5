"""SSAST's pre-training: masked-patch classification and reconstruction.

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

from benchmark.models.transformer import AudioTransformer
from benchmark.models.vit import PATCH

MASKED_SHARE = 400 / 512  # of all patches
CLUSTERS = (3, 4, 5)  # side lengths of the masked squares, in patches
GENERATIVE_WEIGHT = 10.0
FEWEST_PATCHES = 8


@dataclass(frozen=True)
class MaskedLoss:
    """Losses of a batch.

    Attributes:
        contrastive: classification: which masked patch of the clip is this?
        generative: mean squared error of the reconstruction.
        accuracy: share of masked patches that are classified correctly.
    """

    contrastive: torch.Tensor
    generative: torch.Tensor
    accuracy: torch.Tensor

    @property
    def joint(self) -> torch.Tensor:
        """The training loss: contrastive + 10 x generative."""
        return self.contrastive + GENERATIVE_WEIGHT * self.generative


class MaskedPatches(nn.Module):
    """A Transformer with SSAST's mask vector and two prediction heads, named as in SSAST's checkpoints.

    Args:
        model: its patches must not overlap.

    Raises:
        ValueError: the patches overlap, or there are too few.
    """

    def __init__(self, model: AudioTransformer) -> None:
        super().__init__()
        if model.config.stride != (PATCH, PATCH):
            raise ValueError(f"patches must not overlap: stride {PATCH}, {PATCH}")
        if math.prod(model.config.grid) < FEWEST_PATCHES:
            raise ValueError(
                f"{math.prod(model.config.grid)} patches are too few for masking: {FEWEST_PATCHES} are needed"
            )
        width = model.width
        self.model = model
        self.mask_embed = nn.Parameter(nn.init.xavier_normal_(torch.empty(1, 1, width)))
        self.cpredlayer, self.gpredlayer = (
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PATCH * PATCH)) for _ in range(2)
        )

    def forward(self, x: torch.Tensor, rng: np.random.Generator) -> MaskedLoss:
        """Return the losses of (B, frames, mels) normalised filter banks; the two tasks draw separate masks."""
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
        (predicted, actual), (reconstructed, original) = outputs
        scores = actual @ predicted.transpose(1, 2)  # (B, masked targets, masked predictions)
        correct = torch.arange(scores.shape[1], device=x.device)
        contrastive = -functional.log_softmax(scores, dim=2).diagonal(dim1=1, dim2=2).mean()
        accuracy = (scores.argmax(dim=1) == correct).float().mean()
        return MaskedLoss(contrastive, functional.mse_loss(reconstructed, original), accuracy)


def masked_count(grid: tuple[int, int]) -> int:
    """Return how many patches of a grid are masked: the share 400 / 512."""
    return round(MASKED_SHARE * math.prod(grid))


def cluster_masks(rng: np.random.Generator, clips: int, grid: tuple[int, int]) -> np.ndarray:
    """Draw masked patches as squares of 3x3 to 5x5 until there are enough.

    As in the official code, a square that leaves the grid on the right continues in the next row of patches, the first
    patch is never masked, and surplus patches are removed from the end.

    Args:
        rng: source of the draws.
        clips: number of clips; the size of the squares is drawn per clip.
        grid: patches in frequency and time.

    Returns:
        (clips, masked) ascending indices into the flattened grid.
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
