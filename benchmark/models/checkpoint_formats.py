"""Checkpoint formats: the names of their tensors, and how to read the model's geometry from them.

Source: AST@31088be, SSAST@a1a3eec, transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import PositiveFloat, PositiveInt

from benchmark.errors import BenchmarkError
from benchmark.models.checkpoint_hugging_face import HuggingFace
from benchmark.models.checkpoint_layout import (
    INPUT_SIZES,
    OFFICIAL_EPS,
    Evidence,
    Geometry,
    Layout,
    Shapes,
    Tensors,
    blocks_of,
    heads_of,
    input_sizes,
    make_geometry,
    positions_of,
    require_heads,
)
from benchmark.models.checkpoint_timm import AudioMae
from benchmark.models.pretraining_grid import PATCH, Grid, find_grid, find_grid_of_input, require_agreement
from benchmark.spec.backbone import Shape
from benchmark.spec.yaml import Spec, validate

OWN_KEY = "aat_benchmark"


class OfficialAst(Layout):
    """A DataParallel state dict, such as `audioset_10_10_0.4593.pth`, or one that somebody fine-tuned from it."""

    name = "official AST"
    family: str | None = "ast"

    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Look for the class token; `LAYOUTS` tries the other formats that have one first."""
        return "v.cls_token" in tensors

    def geometry(self, tensors: Tensors, evidence: Evidence) -> Geometry:
        """Find the grid from the input size if it is stored, else from names, published sizes and what is stated."""
        where, stated = f"{evidence.where}: {self.name}", evidence.stated
        distilled = "v.dist_token" in tensors
        positions, sizes = positions_of(tensors, distilled, where), input_sizes(tensors, where)
        if sizes is not None:
            grid = find_grid_of_input(positions, where, *sizes, stride=stated.stride)
        else:
            head = tensors.get("mlp_head.1.weight")
            grid = find_grid(
                positions, where, mels=stated.mels, stride=stated.stride, names=evidence.names,
                classes=None if head is None else len(head),
            )  # fmt: skip
        require_agreement(stated, grid, where)
        return make_geometry(tensors, distilled, grid, OFFICIAL_EPS, evidence)

    def extras(self, geometry: Geometry, tensors: Tensors) -> Shapes:
        """Return the trained head, the two unused ImageNet heads and the input size, as far as they are there."""
        sizes = {name: () for name in INPUT_SIZES if name in tensors}
        return {**sizes, **heads_of(geometry, tensors, ("mlp_head", "v.head", "v.head_dist"))}


class OfficialSsast(Layout):
    """`SSAST-Base-Patch-400.pth`: input sizes as tensors, a mask vector and two prediction heads; strides (16, 16)."""

    name = "official SSAST"
    family: str | None = "ssast"

    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Look for the mask vector, a prediction head, or input sizes without a tagging head."""
        tagging = any(name.startswith("mlp_head.") for name in tensors)
        return (
            "mask_embed" in tensors
            or any(name.startswith(("cpredlayer.", "gpredlayer.")) for name in tensors)
            or ("p_input_fdim" in tensors and not tagging)
        )

    def geometry(self, tensors: Tensors, evidence: Evidence) -> Geometry:
        """Divide the stored input size into patches that do not overlap."""
        where, distilled = f"{evidence.where}: {self.name}", "v.dist_token" in tensors
        sizes = input_sizes(tensors, where)
        if sizes is None:
            raise BenchmarkError(f"{where}: missing p_input_fdim or p_input_tdim")
        grid = Grid(sizes[0] // PATCH, sizes[1] // PATCH, sizes[0])
        require_agreement(evidence.stated, grid, where)
        return make_geometry(tensors, distilled, grid, OFFICIAL_EPS, evidence)

    def extras(self, geometry: Geometry, tensors: Tensors) -> Shapes:
        """Return input sizes; mask vector, prediction heads and unused ImageNet heads as far as they are there."""
        d = geometry.shape.width
        shapes: Shapes = {"p_input_fdim": (), "p_input_tdim": ()}
        if "mask_embed" in tensors:
            shapes["mask_embed"] = (1, 1, d)
        for head in ("cpredlayer", "gpredlayer"):
            if any(name.startswith(f"{head}.") for name in tensors):
                shapes |= {f"{head}.0.weight": (d, d), f"{head}.0.bias": (d,)}
                shapes |= {f"{head}.2.weight": (PATCH * PATCH, d), f"{head}.2.bias": (PATCH * PATCH,)}
        return {**shapes, **heads_of(geometry, tensors, ("v.head", "v.head_dist"))}


class _Metadata(Spec):
    """The geometry in the metadata of this suite's files; see `Geometry`. Older files lack the last four values."""

    width: PositiveInt
    depth: PositiveInt
    heads: PositiveInt
    distilled: bool
    grid: tuple[PositiveInt, PositiveInt]
    norm_eps: PositiveFloat
    head_norm_eps: PositiveFloat
    family: str | None = None
    mels: PositiveInt | None = None
    qkv_bias: bool = True
    final_norm: bool = True


class Own(Layout):
    """This suite's format: safetensors with official names, the geometry in the metadata; any size and precision."""

    name = "AAT benchmark"
    family: str | None = None

    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Look for the suite's key in the metadata."""
        return OWN_KEY in metadata

    def geometry(self, tensors: Tensors, evidence: Evidence) -> Geometry:
        """Read the geometry from the metadata."""
        where = f"{evidence.where}: {self.name}"
        try:
            stored = validate(_Metadata, json.loads(evidence.metadata[OWN_KEY]), f"{where}: damaged metadata")
        except (ValueError, RecursionError):
            raise BenchmarkError(f"{where}: damaged metadata: not valid JSON") from None
        if (blocks := blocks_of(tensors)) != stored.depth:
            raise BenchmarkError(f"{where}: damaged: {blocks} Transformer blocks, but its metadata says {stored.depth}")
        if stored.width % stored.heads:
            raise BenchmarkError(f"{where}: damaged metadata: {stored.heads} heads do not divide {stored.width}")
        require_agreement(evidence.stated, Grid(*stored.grid, stored.mels), where)
        require_heads(evidence.stated, stored.heads, where)
        values = {key: getattr(stored, key) for key in _Metadata.model_fields if key not in Shape.model_fields}
        return Geometry(shape=Shape(width=stored.width, depth=stored.depth, heads=stored.heads), **values)


LAYOUTS: tuple[Layout, ...] = (Own(), HuggingFace(), OfficialSsast(), OfficialAst(), AudioMae())
