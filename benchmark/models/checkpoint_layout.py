"""What all checkpoint formats share: the geometry that is read from a file, and how it is found.

Source: AST@31088be, SSAST@a1a3eec.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmark.errors import BenchmarkError
from benchmark.models.pretraining_grid import PATCH, Grid
from benchmark.spec.backbone import HEAD_WIDTH, PUBLISHED_SIZES, SHAPES, Shape, Stated

Tensors = Mapping[str, torch.Tensor]
Shapes = dict[str, tuple[int, ...]]
IMAGENET_CLASSES = 1000
OFFICIAL_EPS = {"norm_eps": 1e-6, "head_norm_eps": 1e-5}
INPUT_SIZES = ("p_input_fdim", "p_input_tdim")  # tensors with the mel bands and frames of pre-training
MOST_INPUT = 10**6  # mel bands or frames; more is no size
PUBLISHED_WIDTHS = {SHAPES[size].width for size in PUBLISHED_SIZES}


@dataclass(frozen=True)
class Evidence:
    """What is known of a checkpoint beside its tensors.

    Attributes:
        where: the file, for messages.
        names: the names of the file and of its folders, as far as they can be those of a published model.
        settings: a Hugging Face `config.json`.
        metadata: of a safetensors file.
        stated: what the user states.
    """

    where: str
    names: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    stated: Stated = field(default_factory=Stated)


@dataclass(frozen=True)
class Geometry:
    """The model's geometry, read from a checkpoint's shapes and settings.

    Attributes:
        shape: width, depth and heads.
        distilled: whether there is a dist token.
        grid: patches of pre-training in frequency and time.
        norm_eps: epsilon of LayerNorms in the backbone.
        head_norm_eps: epsilon of the head's LayerNorm.
        mels: mel bands of pre-training; None if not known.
        qkv_bias: whether query, key and value have biases.
        final_norm: whether a LayerNorm follows the last block.
        family: whose weights they are, where the file itself says so.
        assumed: what was concluded without a statement or a stored value, one line each.
    """

    shape: Shape
    distilled: bool
    grid: tuple[int, int]
    norm_eps: float
    head_norm_eps: float
    mels: int | None = None
    qkv_bias: bool = True
    final_norm: bool = True
    family: str | None = None
    assumed: tuple[str, ...] = ()


def backbone_tensors(
    shape: Shape, distilled: bool, grid: tuple[int, int], *, qkv_bias: bool = True, final_norm: bool = True
) -> Shapes:
    """Return name and shape of every tensor of a backbone.

    Args:
        shape: width, depth and heads.
        distilled: whether there is a dist token.
        grid: patches in frequency and time.
        qkv_bias: whether query, key and value have biases.
        final_norm: whether a LayerNorm follows the last block.
    """
    d = shape.width
    tokens = (2 if distilled else 1) + grid[0] * grid[1]
    shapes: Shapes = {"v.cls_token": (1, 1, d), "v.pos_embed": (1, tokens, d)}
    if distilled:
        shapes["v.dist_token"] = (1, 1, d)
    shapes |= {"v.patch_embed.proj.weight": (d, 1, PATCH, PATCH), "v.patch_embed.proj.bias": (d,)}
    for block in range(shape.depth):
        layers = {"attn.qkv": (3 * d, d), "attn.proj": (d, d), "mlp.fc1": (4 * d, d), "mlp.fc2": (d, 4 * d)}
        for name, weight in {**layers, "norm1": (d,), "norm2": (d,)}.items():
            shapes[f"v.blocks.{block}.{name}.weight"] = weight
            if qkv_bias or name != "attn.qkv":
                shapes[f"v.blocks.{block}.{name}.bias"] = weight[:1]
    return {**shapes, "v.norm.weight": (d,), "v.norm.bias": (d,)} if final_norm else shapes


class Layout(ABC):
    """One checkpoint format.

    Attributes:
        name: of the format, in messages.
        family: whose weights have this format; None where the file itself says so.
        class_token: a tensor whose name shows where in the file a model is.
        part: prefix of the class token's part of the model, if other parts may lie beside it.
    """

    name: str
    family: str | None
    class_token = "v.cls_token"
    part = ""

    def prefix_of(self, name: str) -> str | None:
        """Return what stands before a model's part of the name of its class token; None for other tensors."""
        if name != self.class_token and not name.endswith(f".{self.class_token}"):
            return None
        return name.removesuffix(self.class_token).removesuffix(self.part)

    @abstractmethod
    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Return whether a file has this format."""

    def rename(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        """Return the tensors under the official names."""
        return dict(tensors)

    @abstractmethod
    def geometry(self, tensors: Tensors, evidence: Evidence) -> Geometry:
        """Return the model's geometry.

        Args:
            tensors: under the official names.
            evidence: what else is known.

        Raises:
            BenchmarkError: it cannot be known, or contradicts itself.
        """

    def extras(self, geometry: Geometry, tensors: Tensors) -> Shapes:
        """Return the other tensors that the format has; those of a head only if the file has any part of it."""
        return heads_of(geometry, tensors, ("mlp_head",))


def positions_of(tensors: Tensors, distilled: bool, where: str) -> int:
    """Return the number of patches of the positional embedding.

    Raises:
        BenchmarkError: there is none.
    """
    embedding = tensors.get("v.pos_embed")
    if embedding is None or embedding.dim() != 3:
        raise BenchmarkError(f"{where}: the positional embedding is missing")
    return embedding.shape[1] - (2 if distilled else 1)


def input_sizes(tensors: Tensors, where: str) -> tuple[int, int] | None:
    """Return mel bands and frames of pre-training; None if the file does not have them.

    Raises:
        BenchmarkError: they are no sizes.
    """
    sizes = []
    for name in INPUT_SIZES:
        tensor = tensors.get(name)
        if tensor is None or tensor.numel() != 1:
            return None
        value = math.nan if tensor.is_meta else float(tensor)
        if not 1 <= value <= MOST_INPUT or value != int(value):
            raise BenchmarkError(f"{where}: {name} is {value:g}, expected a number of mel bands or frames")
        sizes.append(int(value))
    return sizes[0], sizes[1]


def blocks_of(tensors: Tensors) -> int:
    """Return the number of Transformer blocks."""
    return len({name.split(".")[2] for name in tensors if name.startswith("v.blocks.")})


def make_geometry(
    tensors: Tensors,
    distilled: bool,
    grid: Grid,
    epsilons: Mapping[str, float],
    evidence: Evidence,
    heads: int | None = None,
) -> Geometry:
    """Return the geometry.

    Args:
        tensors: under the official names.
        distilled: whether there is a dist token.
        grid: of pre-training.
        epsilons: of the LayerNorms.
        evidence: what else is known.
        heads: of the attention, where a configuration says so.
    """
    shape, assumed = _shape(tensors, evidence, heads)
    return Geometry(
        shape=shape,
        distilled=distilled,
        grid=(grid.rows, grid.columns),
        norm_eps=epsilons["norm_eps"],
        head_norm_eps=epsilons["head_norm_eps"],
        mels=grid.mels,
        qkv_bias=any(name.endswith(".attn.qkv.bias") for name in tensors),
        assumed=tuple(line for line in (grid.assumed, assumed) if line is not None),
    )


def _shape(tensors: Tensors, evidence: Evidence, heads: int | None) -> tuple[Shape, str | None]:
    """Return the shape, and what was assumed for it: the tensors do not show the number of heads."""
    width = tensors["v.patch_embed.proj.weight"].shape[0]
    depth = blocks_of(tensors)
    if not depth:
        raise BenchmarkError(f"{evidence.where}: has no Transformer blocks")
    assumed = None
    if heads is not None:
        require_heads(evidence.stated, heads, evidence.where)
    elif evidence.stated.heads is not None:
        heads = evidence.stated.heads
    elif width in PUBLISHED_WIDTHS:
        heads = width // HEAD_WIDTH
        assumed = f"{heads} attention heads are assumed for the width {width}, as in the published models"
    else:
        raise BenchmarkError(
            f"{evidence.where}: no published model has width {width}, and the tensors do not show the number of "
            f"attention heads; state it, as in ast[weights=FILE;heads={max(1, width // HEAD_WIDTH)}]"
        )
    if heads < 1 or width % heads:
        raise BenchmarkError(f"{evidence.where}: {heads} heads do not divide the width {width}")
    return Shape(width=width, depth=depth, heads=heads), assumed


def require_heads(stated: Stated, heads: int, where: str) -> None:
    """Check the number of heads that a user states against the one that the file has.

    Raises:
        BenchmarkError: they differ.
    """
    if stated.heads is not None and stated.heads != heads:
        raise BenchmarkError(f"{where}: has {heads} attention heads, but heads={stated.heads} is stated")


def heads_of(geometry: Geometry, tensors: Tensors, names: Iterable[str]) -> Shapes:
    """Return name and shape of the classification heads of which the file has any part, with the file's classes."""
    d = geometry.shape.width
    shapes: Shapes = {}
    for name in names:
        if not any(found.startswith(f"{name}.") for found in tensors):
            continue
        linear = f"{name}.1" if name == "mlp_head" else name
        if linear != name:
            shapes |= {f"{name}.0.weight": (d,), f"{name}.0.bias": (d,)}
        final = tensors.get(f"{linear}.weight")
        classes = IMAGENET_CLASSES if final is None else final.shape[0]
        shapes |= {f"{linear}.weight": (classes, d), f"{linear}.bias": (classes,)}
    return shapes


def imagenet_heads(width: int, distilled: bool) -> Shapes:
    """Return name and shape of the tensors of the official model's unused ImageNet heads."""
    heads = ("head", "head_dist") if distilled else ("head",)
    sizes = {"weight": (IMAGENET_CLASSES, width), "bias": (IMAGENET_CLASSES,)}
    return {f"v.{head}.{kind}": size for head in heads for kind, size in sizes.items()}
