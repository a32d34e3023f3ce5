"""The golden file's rules for weights and inputs, which anyone can repeat with numpy alone."""

from __future__ import annotations

import zlib

import numpy as np
import torch

SCALE = np.float32(0.02)


def by_rule(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Return weights by the golden rule: normal values seeded by the name; LayerNorm gains are around one."""
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype("float32") * SCALE
    return torch.from_numpy(1 + values if len(shape) == 1 and name.endswith(".weight") else values)


def inputs(seed: int, batch: int, frames: int, mels: int) -> torch.Tensor:
    """Return (batch, frames, mels) inputs by the golden rule."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal((batch, frames, mels)).astype("float32"))
