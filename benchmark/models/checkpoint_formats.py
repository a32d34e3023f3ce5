"""Checkpoint formats: the names of their tensors, and how to read the model's geometry from them.

Source: AST@31088be, SSAST@a1a3eec, transformers.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from benchmark.errors import BenchmarkError
from benchmark.spec.backbone import HEAD_WIDTH, Shape

Tensors = Mapping[str, torch.Tensor]
Shapes = dict[str, tuple[int, ...]]
PATCH = 16
OWN_KEY = "aat_benchmark"
IMAGENET_CLASSES = 1000
AUDIOSET_CLASSES = 527
OFFICIAL_EPS = {"norm_eps": 1e-6, "head_norm_eps": 1e-5}


@dataclass(frozen=True)
class Geometry:
    """The model's geometry, read from a checkpoint's shapes and settings.

    Attributes:
        shape: width, depth and heads.
        distilled: whether there is a dist token.
        grid: patches of pre-training in frequency and time.
        norm_eps: epsilon of LayerNorms in the backbone.
        head_norm_eps: epsilon of the head's LayerNorm.
    """

    shape: Shape
    distilled: bool
    grid: tuple[int, int]
    norm_eps: float
    head_norm_eps: float


def backbone_tensors(shape: Shape, distilled: bool, grid: tuple[int, int]) -> Shapes:
    """Return name and shape of every tensor of a backbone.

    Args:
        shape: width, depth and heads.
        distilled: whether there is a dist token.
        grid: patches in frequency and time.
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
            shapes[f"v.blocks.{block}.{name}.bias"] = weight[:1]
    return {**shapes, "v.norm.weight": (d,), "v.norm.bias": (d,)}


class Layout(ABC):
    """One checkpoint format."""

    name: str

    @abstractmethod
    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Return whether a file has this format."""

    def rename(self, tensors: Tensors, where: str) -> dict[str, torch.Tensor]:
        """Return the tensors under the official names."""
        return dict(tensors)

    @abstractmethod
    def geometry(
        self, tensors: Tensors, settings: Mapping[str, Any], metadata: Mapping[str, str], where: str
    ) -> Geometry:
        """Return the model's geometry.

        Args:
            tensors: under the official names.
            settings: a Hugging Face `config.json`.
            metadata: of a safetensors file.
            where: the file, for messages.
        """

    def extras(self, geometry: Geometry, tensors: Tensors) -> Shapes:
        """Return the other tensors that the format requires; here the head, if the file has any part of one."""
        return _head(geometry, tensors) if any(name.startswith("mlp_head.") for name in tensors) else {}


class OfficialAst(Layout):
    """`audioset_10_10_0.4593.pth`: a DataParallel state dict, strides (10, 10), 128 mel bands."""

    name = "official AST"

    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Look for the class token; `LAYOUTS` tries the other formats that have one first."""
        return "v.cls_token" in tensors

    def geometry(
        self, tensors: Tensors, settings: Mapping[str, Any], metadata: Mapping[str, str], where: str
    ) -> Geometry:
        """Assume 12 patches in frequency (128 bands, stride 10) and compute those in time."""
        distilled = "v.dist_token" in tensors
        grid = _grid(tensors, distilled, mels=128, stride=10, where=f"{where}: {self.name}")
        return Geometry(_shape(tensors, where), distilled, grid, **OFFICIAL_EPS)

    def extras(self, geometry: Geometry, tensors: Tensors) -> Shapes:
        """Return the trained head and the two unused ImageNet heads."""
        return {**_head(geometry, tensors), **imagenet_heads(geometry.shape.width, geometry.distilled)}


class OfficialSsast(Layout):
    """`SSAST-Base-Patch-400.pth`: input sizes as tensors, a mask vector and two prediction heads; strides (16, 16)."""

    name = "official SSAST"

    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Look for the input sizes or the mask vector."""
        return "p_input_fdim" in tensors or "mask_embed" in tensors

    def geometry(
        self, tensors: Tensors, settings: Mapping[str, Any], metadata: Mapping[str, str], where: str
    ) -> Geometry:
        """Divide the stored input size into patches that do not overlap."""
        sizes = [tensors.get(name) for name in ("p_input_fdim", "p_input_tdim")]
        if any(size is None or size.numel() != 1 for size in sizes):
            raise BenchmarkError(f"{where}: {self.name}: missing p_input_fdim or p_input_tdim")
        f, t = (int(size) // PATCH for size in sizes if size is not None)
        return Geometry(_shape(tensors, where), "v.dist_token" in tensors, (f, t), **OFFICIAL_EPS)

    def extras(self, geometry: Geometry, tensors: Tensors) -> Shapes:
        """Return input sizes, mask vector, prediction heads and unused ImageNet heads."""
        d = geometry.shape.width
        shapes: Shapes = {"p_input_fdim": (), "p_input_tdim": (), "mask_embed": (1, 1, d)}
        for head in ("cpredlayer", "gpredlayer"):
            shapes |= {f"{head}.0.weight": (d, d), f"{head}.0.bias": (d,)}
            shapes |= {f"{head}.2.weight": (PATCH * PATCH, d), f"{head}.2.bias": (PATCH * PATCH,)}
        return {**shapes, **imagenet_heads(d, geometry.distilled)}


class HuggingFace(Layout):
    """`MIT/ast-finetuned-audioset-10-10-0.4593`, as transformers writes it: separate query, key and value."""

    name = "Hugging Face AST"
    PREFIX = "audio_spectrogram_transformer."
    NAMES = (
        (r"embeddings\.cls_token", "v.cls_token"),
        (r"embeddings\.distillation_token", "v.dist_token"),
        (r"embeddings\.position_embeddings", "v.pos_embed"),
        (r"embeddings\.patch_embeddings\.projection\.(\w+)", r"v.patch_embed.proj.\1"),
        (r"encoder\.layer\.(\d+)\.attention\.attention\.(query|key|value)\.(\w+)", r"v.blocks.\1.attn.\2.\3"),
        (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.(\w+)", r"v.blocks.\1.attn.proj.\2"),
        (r"encoder\.layer\.(\d+)\.layernorm_before\.(\w+)", r"v.blocks.\1.norm1.\2"),
        (r"encoder\.layer\.(\d+)\.layernorm_after\.(\w+)", r"v.blocks.\1.norm2.\2"),
        (r"encoder\.layer\.(\d+)\.intermediate\.dense\.(\w+)", r"v.blocks.\1.mlp.fc1.\2"),
        (r"encoder\.layer\.(\d+)\.output\.dense\.(\w+)", r"v.blocks.\1.mlp.fc2.\2"),
        (r"layernorm\.(\w+)", r"v.norm.\1"),
        (r"classifier\.layernorm\.(\w+)", r"mlp_head.0.\1"),
        (r"classifier\.dense\.(\w+)", r"mlp_head.1.\1"),
    )

    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Look for its class token, with or without the classifier's prefix."""
        return any(f"{prefix}embeddings.cls_token" in tensors for prefix in (self.PREFIX, ""))

    def rename(self, tensors: Tensors, where: str) -> dict[str, torch.Tensor]:
        """Return the tensors under the official names, with query, key and value joined in this order."""
        renamed = {self._official(name): tensor for name, tensor in tensors.items()}
        for name in [name for name in renamed if ".attn.query." in name]:
            parts = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
            if all(part in renamed for part in parts):
                renamed[name.replace(".query.", ".qkv.")] = torch.cat([renamed.pop(part) for part in parts])
        return renamed

    def geometry(
        self, tensors: Tensors, settings: Mapping[str, Any], metadata: Mapping[str, str], where: str
    ) -> Geometry:
        """Take stride, mel bands and LayerNorm epsilon from `config.json`; by default those of AST."""
        mels, stride = int(settings.get("num_mel_bins", 128)), int(settings.get("frequency_stride", 10))
        grid = _grid(tensors, True, mels=mels, stride=stride, where=f"{where}: {self.name}")
        eps = settings.get("layer_norm_eps")
        epsilons = OFFICIAL_EPS if eps is None else {"norm_eps": float(eps), "head_norm_eps": float(eps)}
        heads = settings.get("num_attention_heads")
        return Geometry(_shape(tensors, where, heads), True, grid, **epsilons)

    def _official(self, name: str) -> str:
        bare = name.removeprefix(self.PREFIX)
        for pattern, official in self.NAMES:
            if match := re.fullmatch(pattern, bare):
                return match.expand(official)
        return name


class Own(Layout):
    """This suite's format: safetensors with official names, the geometry in the metadata; any size and precision."""

    name = "AAT benchmark"

    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Look for the suite's key in the metadata."""
        return OWN_KEY in metadata

    def geometry(
        self, tensors: Tensors, settings: Mapping[str, Any], metadata: Mapping[str, str], where: str
    ) -> Geometry:
        """Read the geometry from the metadata."""
        try:
            stored = json.loads(metadata[OWN_KEY])
            shape = Shape(**{key: stored.pop(key) for key in ("width", "depth", "heads")})
            return Geometry(shape=shape, **{**stored, "grid": tuple(stored["grid"])})
        except (ValueError, KeyError, TypeError):
            raise BenchmarkError(f"{where}: {self.name}: the metadata is damaged") from None


LAYOUTS: tuple[Layout, ...] = (Own(), HuggingFace(), OfficialSsast(), OfficialAst())


def _grid(tensors: Tensors, distilled: bool, *, mels: int, stride: int, where: str) -> tuple[int, int]:
    """Return the pre-training grid: frequency from the mel bands, time from the positional embedding."""
    embedding = tensors.get("v.pos_embed")
    if embedding is None or embedding.dim() != 3:
        raise BenchmarkError(f"{where}: the positional embedding is missing")
    f = (mels - PATCH) // stride + 1
    patches = embedding.shape[1] - (2 if distilled else 1)
    if patches % f:
        raise BenchmarkError(f"{where}: {patches} positions are not a grid with {f} rows in frequency")
    return f, patches // f


def _shape(tensors: Tensors, where: str, heads: int | None = None) -> Shape:
    width = tensors["v.patch_embed.proj.weight"].shape[0]
    depth = len({name.split(".")[2] for name in tensors if name.startswith("v.blocks.")})
    if heads is None and width % HEAD_WIDTH:
        raise BenchmarkError(f"{where}: width {width} is not a multiple of the head width {HEAD_WIDTH}")
    return Shape(width=width, depth=depth, heads=heads or width // HEAD_WIDTH)


def _head(geometry: Geometry, tensors: Tensors) -> Shapes:
    d = geometry.shape.width
    final = tensors.get("mlp_head.1.weight")
    classes = AUDIOSET_CLASSES if final is None else final.shape[0]
    norm: Shapes = {"mlp_head.0.weight": (d,), "mlp_head.0.bias": (d,)}
    return {**norm, "mlp_head.1.weight": (classes, d), "mlp_head.1.bias": (classes,)}


def imagenet_heads(width: int, distilled: bool) -> Shapes:
    """Return name and shape of the tensors of the official model's unused ImageNet heads."""
    heads = ("head", "head_dist") if distilled else ("head",)
    sizes = {"weight": (IMAGENET_CLASSES, width), "bias": (IMAGENET_CLASSES,)}
    return {f"v.{head}.{kind}": size for head in heads for kind, size in sizes.items()}
