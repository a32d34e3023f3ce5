"""The checkpoint formats of AudioMAE: the authors' files, and those of timm, which have the same names.

Source: AudioMAE@877faec models_mae.py, models_vit.py; huggingface.co/gaunernst/vit_base_patch16_1024_128.audiomae_as2m
and .audiomae_as2m_ft_as20k.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import torch

from benchmark.errors import BenchmarkError
from benchmark.models.checkpoint_layout import Evidence, Geometry, Layout, Shapes, Tensors, make_geometry, positions_of
from benchmark.models.pretraining_grid import Grid, find_grid, find_grid_of_input, require_agreement

EPS = {"norm_eps": 1e-6, "head_norm_eps": 1e-6}
DROPPED = ("mask_token", "decoder_", "norm.")  # of pre-training: fine-tuning begins with a new last LayerNorm


class AudioMae(Layout):
    """AudioMAE: one class token, the last LayerNorm (`fc_norm`) after the mean over patches, part of the head here."""

    name = "AudioMAE (timm)"
    family: str | None = "audiomae"
    class_token = "cls_token"
    NAMES = (
        (r"(cls_token|pos_embed|patch_embed\..+|blocks\..+)", r"v.\1"),
        (r"fc_norm\.(\w+)", r"mlp_head.0.\1"),
        (r"head\.(\w+)", r"mlp_head.1.\1"),
    )

    def prefix_of(self, name: str) -> str | None:
        """Leave out class tokens of the other formats, whose names end in the same way."""
        return None if re.search(r"(^|\.)(v|embeddings)\.cls_token$", name) else super().prefix_of(name)

    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Look for the class token and a block."""
        return "cls_token" in tensors and any(name.startswith("blocks.0.") for name in tensors)

    def rename(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        """Return the tensors under the official names of AST."""
        return {self._official(name): tensor for name, tensor in tensors.items()}

    def geometry(self, tensors: Tensors, evidence: Evidence) -> Geometry:
        """Find the grid from the input size in timm's `config.json`, else from published sizes and what is stated."""
        where, stated = f"{evidence.where}: {self.name}", evidence.stated
        positions, size = positions_of(tensors, False, where), _input_size(evidence, where)
        if size is None:
            grid: Grid = find_grid(positions, where, mels=stated.mels, stride=stated.stride)
        else:
            grid = find_grid_of_input(positions, f"{where}, config.json", *size, stride=stated.stride)
        require_agreement(stated, grid, where)
        return dataclasses.replace(make_geometry(tensors, False, grid, EPS, evidence), final_norm=False)

    def extras(self, geometry: Geometry, tensors: Tensors) -> Shapes:
        """Return the decoder and the parts of a head, as far as they are there."""
        d = geometry.shape.width
        shapes: Shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items() if name.startswith(DROPPED)}
        if "mlp_head.0.weight" in tensors or "mlp_head.0.bias" in tensors:
            shapes |= {"mlp_head.0.weight": (d,), "mlp_head.0.bias": (d,)}
        if "mlp_head.1.weight" in tensors:
            classes = tensors["mlp_head.1.weight"].shape[0]
            shapes |= {"mlp_head.1.weight": (classes, d), "mlp_head.1.bias": (classes,)}
        return shapes

    def _official(self, name: str) -> str:
        for pattern, official in self.NAMES:
            if match := re.fullmatch(pattern, name):
                return match.expand(official)
        return name


def _input_size(evidence: Evidence, where: str) -> tuple[int, int] | None:
    """Return mel bands and frames of pre-training from timm's `config.json`; None if there is none.

    Raises:
        BenchmarkError: the configuration is of images, or its size is none.
    """
    given = evidence.settings.get("pretrained_cfg")
    size = given.get("input_size") if isinstance(given, Mapping) else None
    if size is None:
        return None
    is_size = isinstance(size, list) and len(size) == 3 and all(isinstance(part, int) and part > 0 for part in size)
    if not is_size or size[0] != 1:
        raise BenchmarkError(f"{where}: its config.json says input_size {size}, expected [1, frames, mel bands]")
    return size[2], size[1]
