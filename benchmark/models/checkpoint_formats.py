"""Checkpoint formats: the names of their tensors, and how to read the model's geometry from them.

Source: AST@31088be, SSAST@a1a3eec, transformers.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmark.errors import BenchmarkError
from benchmark.models.pretraining_grid import (
    PATCH,
    Grid,
    find_grid,
    find_grid_of_input,
    require_agreement,
    rows,
)
from benchmark.spec.backbone import HEAD_WIDTH, SHAPES, Family, Shape, Stated

Tensors = Mapping[str, torch.Tensor]
Shapes = dict[str, tuple[int, ...]]
OWN_KEY = "aat_benchmark"
IMAGENET_CLASSES = 1000
OFFICIAL_EPS = {"norm_eps": 1e-6, "head_norm_eps": 1e-5}
INPUT_SIZES = ("p_input_fdim", "p_input_tdim")  # tensors with the mel bands and frames of pre-training
PUBLISHED_WIDTHS = {shape.width for size, shape in SHAPES.items() if size != "demo"}


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
        family: whose weights they are, where the file itself says so.
    """

    shape: Shape
    distilled: bool
    grid: tuple[int, int]
    norm_eps: float
    head_norm_eps: float
    mels: int | None = None
    qkv_bias: bool = True
    family: Family | None = None


def backbone_tensors(shape: Shape, distilled: bool, grid: tuple[int, int], *, qkv_bias: bool = True) -> Shapes:
    """Return name and shape of every tensor of a backbone.

    Args:
        shape: width, depth and heads.
        distilled: whether there is a dist token.
        grid: patches in frequency and time.
        qkv_bias: whether query, key and value have biases.
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
    return {**shapes, "v.norm.weight": (d,), "v.norm.bias": (d,)}


class Layout(ABC):
    """One checkpoint format.

    Attributes:
        name: of the format, in messages.
        family: whose weights have this format; None where the file itself says so.
        class_token: a tensor whose name shows where in the file a model is.
        part: prefix of the class token's part of the model, if other parts may lie beside it.
    """

    name: str
    family: Family | None
    class_token = "v.cls_token"
    part = ""

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
        return _heads(geometry, tensors, ("mlp_head",))


class OfficialAst(Layout):
    """A DataParallel state dict, such as `audioset_10_10_0.4593.pth`, or one that somebody fine-tuned from it."""

    name = "official AST"
    family: Family | None = "ast"

    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Look for the class token; `LAYOUTS` tries the other formats that have one first."""
        return "v.cls_token" in tensors

    def geometry(self, tensors: Tensors, evidence: Evidence) -> Geometry:
        """Find the grid from the input size if it is stored, else from names, published sizes and what is stated."""
        where, stated = f"{evidence.where}: {self.name}", evidence.stated
        distilled = "v.dist_token" in tensors
        positions, sizes = _positions(tensors, distilled, where), _input_sizes(tensors)
        if sizes is not None:
            grid = find_grid_of_input(positions, where, *sizes, stride=stated.stride)
        else:
            head = tensors.get("mlp_head.1.weight")
            grid = find_grid(
                positions, where, mels=stated.mels, stride=stated.stride, names=evidence.names,
                classes=None if head is None else len(head),
            )  # fmt: skip
        require_agreement(stated, grid, where)
        return _geometry(tensors, distilled, grid, OFFICIAL_EPS, evidence)

    def extras(self, geometry: Geometry, tensors: Tensors) -> Shapes:
        """Return the trained head, the two unused ImageNet heads and the input size, as far as they are there."""
        sizes = {name: () for name in INPUT_SIZES if name in tensors}
        return {**sizes, **_heads(geometry, tensors, ("mlp_head", "v.head", "v.head_dist"))}


class OfficialSsast(Layout):
    """`SSAST-Base-Patch-400.pth`: input sizes as tensors, a mask vector and two prediction heads; strides (16, 16)."""

    name = "official SSAST"
    family: Family | None = "ssast"

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
        sizes = _input_sizes(tensors)
        if sizes is None:
            raise BenchmarkError(f"{where}: missing p_input_fdim or p_input_tdim")
        grid = Grid(sizes[0] // PATCH, sizes[1] // PATCH, sizes[0])
        require_agreement(evidence.stated, grid, where)
        return _geometry(tensors, distilled, grid, OFFICIAL_EPS, evidence)

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
        return {**shapes, **_heads(geometry, tensors, ("v.head", "v.head_dist"))}


class HuggingFace(Layout):
    """`MIT/ast-finetuned-audioset-10-10-0.4593`, as transformers writes it: separate query, key and value."""

    name = "Hugging Face AST"
    family: Family | None = "ast"
    PREFIX = "audio_spectrogram_transformer."
    class_token = "embeddings.cls_token"
    part = PREFIX
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
        # the names that transformers 5 gives these modules in memory, and in files of `torch.save`
        (r"layers\.(\d+)\.attention\.q_proj\.(\w+)", r"v.blocks.\1.attn.query.\2"),
        (r"layers\.(\d+)\.attention\.k_proj\.(\w+)", r"v.blocks.\1.attn.key.\2"),
        (r"layers\.(\d+)\.attention\.v_proj\.(\w+)", r"v.blocks.\1.attn.value.\2"),
        (r"layers\.(\d+)\.attention\.o_proj\.(\w+)", r"v.blocks.\1.attn.proj.\2"),
        (r"layers\.(\d+)\.layernorm_before\.(\w+)", r"v.blocks.\1.norm1.\2"),
        (r"layers\.(\d+)\.layernorm_after\.(\w+)", r"v.blocks.\1.norm2.\2"),
        (r"layers\.(\d+)\.mlp\.(fc1|fc2)\.(\w+)", r"v.blocks.\1.mlp.\2.\3"),
        (r"layernorm\.(\w+)", r"v.norm.\1"),
        (r"classifier\.layernorm\.(\w+)", r"mlp_head.0.\1"),
        (r"classifier\.dense\.(\w+)", r"mlp_head.1.\1"),
    )

    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Look for its class token, with or without the classifier's prefix."""
        return any(f"{prefix}{self.class_token}" in tensors for prefix in (self.PREFIX, ""))

    def rename(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        """Return the tensors under the official names, with query, key and value joined in this order."""
        renamed = {self._official(name): tensor for name, tensor in tensors.items()}
        for name in [name for name in renamed if ".attn.query." in name]:
            parts = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
            if all(part in renamed for part in parts):
                renamed[name.replace(".query.", ".qkv.")] = torch.cat([renamed.pop(part) for part in parts])
        return renamed

    def geometry(self, tensors: Tensors, evidence: Evidence) -> Geometry:
        """Take stride, mel bands and LayerNorm epsilon from `config.json`.

        Without one, the grid is found as for an official file, and the epsilons are those of AST.
        """
        where, settings, stated = f"{evidence.where}: {self.name}", evidence.settings, evidence.stated
        self._require_ast(settings, where)
        positions = _positions(tensors, True, where)
        if settings:
            mels, stride = _whole(settings, "num_mel_bins", 128, where), _whole(settings, "frequency_stride", 10, where)
            grid = find_grid(positions, f"{where}, config.json", mels=mels, stride=stride)
            if {"max_length", "time_stride"} <= set(settings):
                frames, step = (_whole(settings, key, 0, where) for key in ("max_length", "time_stride"))
                if (columns := rows(frames, step)) != grid.columns:
                    raise BenchmarkError(
                        f"{where}: {positions} positions, but its config.json describes {grid.rows}x{columns}: it "
                        "belongs to other weights"
                    )
        else:
            head = tensors.get("mlp_head.1.weight")
            grid = find_grid(
                positions, where, mels=stated.mels, stride=stated.stride, names=evidence.names,
                classes=None if head is None else len(head),
            )  # fmt: skip
        require_agreement(stated, grid, where)
        eps = settings.get("layer_norm_eps")
        epsilons = OFFICIAL_EPS if eps is None else {"norm_eps": float(eps), "head_norm_eps": float(eps)}
        heads = _whole(settings, "num_attention_heads", 0, where) if "num_attention_heads" in settings else None
        return _geometry(tensors, True, grid, epsilons, evidence, heads=heads)

    @staticmethod
    def _require_ast(settings: Mapping[str, Any], where: str) -> None:
        """Refuse another architecture with the same names, and activations that this suite's model does not have."""
        kind = settings.get("model_type", "audio-spectrogram-transformer")
        if kind != "audio-spectrogram-transformer":
            raise BenchmarkError(f"{where}: its config.json says model_type {kind}, which is no AST")
        if (activation := settings.get("hidden_act", "gelu")) != "gelu":
            raise BenchmarkError(f"{where}: its config.json says hidden_act {activation}; AST's blocks have gelu")

    def _official(self, name: str) -> str:
        bare = name.removeprefix(self.PREFIX)
        for pattern, official in self.NAMES:
            if match := re.fullmatch(pattern, bare):
                return match.expand(official)
        return name


class Own(Layout):
    """This suite's format: safetensors with official names, the geometry in the metadata; any size and precision."""

    name = "AAT benchmark"
    family: Family | None = None

    def matches(self, tensors: Tensors, metadata: Mapping[str, str]) -> bool:
        """Look for the suite's key in the metadata."""
        return OWN_KEY in metadata

    def geometry(self, tensors: Tensors, evidence: Evidence) -> Geometry:
        """Read the geometry from the metadata."""
        where = f"{evidence.where}: {self.name}"
        try:
            stored = json.loads(evidence.metadata[OWN_KEY])
            shape = Shape(**{key: stored.pop(key) for key in ("width", "depth", "heads")})
            found = Geometry(shape=shape, **{**stored, "grid": tuple(stored["grid"])})
        except (ValueError, KeyError, TypeError):
            raise BenchmarkError(f"{where}: the metadata is damaged") from None
        require_agreement(evidence.stated, Grid(*found.grid, found.mels), where)
        _require_heads(evidence.stated, shape.heads, where)
        return found


LAYOUTS: tuple[Layout, ...] = (Own(), HuggingFace(), OfficialSsast(), OfficialAst())


def _whole(settings: Mapping[str, Any], key: str, default: int, where: str) -> int:
    value = settings.get(key, default)
    if not isinstance(value, int) or value < 1:
        raise BenchmarkError(f"{where}: its config.json says {key} {value}, expected a whole number above 0")
    return value


def _positions(tensors: Tensors, distilled: bool, where: str) -> int:
    """Return the number of patches of the positional embedding."""
    embedding = tensors.get("v.pos_embed")
    if embedding is None or embedding.dim() != 3:
        raise BenchmarkError(f"{where}: the positional embedding is missing")
    return embedding.shape[1] - (2 if distilled else 1)


def _input_sizes(tensors: Tensors) -> tuple[int, int] | None:
    """Return mel bands and frames of pre-training; None if the file does not have them."""
    sizes = [tensors.get(name) for name in INPUT_SIZES]
    if any(size is None or size.numel() != 1 for size in sizes):
        return None
    mels, frames = (int(size) for size in sizes if size is not None)
    return mels, frames


def _geometry(
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
    return Geometry(
        shape=_shape(tensors, evidence, heads),
        distilled=distilled,
        grid=(grid.rows, grid.columns),
        norm_eps=epsilons["norm_eps"],
        head_norm_eps=epsilons["head_norm_eps"],
        mels=grid.mels,
        qkv_bias=any(name.endswith(".attn.qkv.bias") for name in tensors),
    )


def _shape(tensors: Tensors, evidence: Evidence, heads: int | None) -> Shape:
    """Return the shape. The tensors do not show the number of heads; without a configuration it must be known."""
    width = tensors["v.patch_embed.proj.weight"].shape[0]
    depth = len({name.split(".")[2] for name in tensors if name.startswith("v.blocks.")})
    if not depth:
        raise BenchmarkError(f"{evidence.where}: has no Transformer blocks")
    if heads is not None:
        _require_heads(evidence.stated, heads, evidence.where)
    else:
        published = width // HEAD_WIDTH if width in PUBLISHED_WIDTHS else None
        heads = evidence.stated.heads or published
    if heads is None:
        raise BenchmarkError(
            f"{evidence.where}: no published model has width {width}, and the tensors do not show the number of "
            f"attention heads; state it, as in ast[weights=FILE;heads={max(1, width // HEAD_WIDTH)}]"
        )
    if heads < 1 or width % heads:
        raise BenchmarkError(f"{evidence.where}: {heads} heads do not divide the width {width}")
    return Shape(width=width, depth=depth, heads=heads)


def _require_heads(stated: Stated, heads: int, where: str) -> None:
    if stated.heads is not None and stated.heads != heads:
        raise BenchmarkError(f"{where}: has {heads} attention heads, but heads={stated.heads} is stated")


def _heads(geometry: Geometry, tensors: Tensors, names: Iterable[str]) -> Shapes:
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
