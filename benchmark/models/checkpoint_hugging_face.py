"""The checkpoint format of transformers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch

from benchmark.errors import BenchmarkError
from benchmark.models.checkpoint_layout import (
    OFFICIAL_EPS,
    Evidence,
    Geometry,
    Layout,
    Tensors,
    make_geometry,
    positions_of,
)
from benchmark.models.pretraining_grid import find_grid, require_agreement, rows

MODEL_TYPE = "audio-spectrogram-transformer"
INPUT_DEFAULTS = {"num_mel_bins": 128, "frequency_stride": 10}  # of transformers, for its own configurations


class HuggingFace(Layout):
    """`MIT/ast-finetuned-audioset-10-10-0.4593`, as transformers writes it: separate query, key and value."""

    name = "Hugging Face AST"
    family: str | None = "ast"
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
            shapes = {renamed[part].shape for part in parts if part in renamed}
            if all(part in renamed for part in parts) and len(shapes) == 1:
                renamed[name.replace(".query.", ".qkv.")] = torch.cat([renamed.pop(part) for part in parts])
        return renamed

    def geometry(self, tensors: Tensors, evidence: Evidence) -> Geometry:
        """Take stride, mel bands and LayerNorm epsilon from `config.json`.

        What it does not say is found as for an official file; the epsilons are then those of AST.
        """
        where, stated = f"{evidence.where}: {self.name}", evidence.stated
        settings = self._settings(evidence.settings, where)
        positions, head = positions_of(tensors, True, where), tensors.get("mlp_head.1.weight")
        mels, stride = (_whole(settings, key, where) for key in INPUT_DEFAULTS)
        grid = find_grid(
            positions,
            where if mels is None and stride is None else f"{where}, config.json",
            mels=stated.mels if mels is None else mels,
            stride=stated.stride if stride is None else stride,
            names=evidence.names,
            classes=None if head is None else len(head),
        )
        frames, step = (_whole(settings, key, where) for key in ("max_length", "time_stride"))
        if frames is not None and step is not None and (columns := rows(frames, step)) != grid.columns:
            raise BenchmarkError(
                f"{where}: {positions} positions, but its config.json describes {grid.rows}x{columns}: it belongs to "
                "other weights"
            )
        require_agreement(stated, grid, where)
        eps = _positive(settings, "layer_norm_eps", where)
        epsilons = OFFICIAL_EPS if eps is None else {"norm_eps": eps, "head_norm_eps": eps}
        return make_geometry(
            tensors, True, grid, epsilons, evidence, heads=_whole(settings, "num_attention_heads", where)
        )

    @staticmethod
    def _settings(settings: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        """Return the settings in a `config.json`: with transformers' defaults only if the file is one of its own.

        Raises:
            BenchmarkError: another architecture with the same names, or an activation that this suite does not have.
        """
        kind = settings.get("model_type", MODEL_TYPE)
        if kind != MODEL_TYPE:
            raise BenchmarkError(f"{where}: its config.json says model_type {kind}, which is no AST")
        if (activation := settings.get("hidden_act", "gelu")) != "gelu":
            raise BenchmarkError(f"{where}: its config.json says hidden_act {activation}; AST's blocks have gelu")
        return {**INPUT_DEFAULTS, **settings} if "model_type" in settings else settings

    def _official(self, name: str) -> str:
        bare = name.removeprefix(self.PREFIX)
        for pattern, official in self.NAMES:
            if match := re.fullmatch(pattern, bare):
                return match.expand(official)
        return name


def _whole(settings: Mapping[str, Any], key: str, where: str) -> int | None:
    """Return a whole number above 0; None if the configuration does not have the key."""
    if key not in settings:
        return None
    value = settings[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BenchmarkError(f"{where}: its config.json says {key} {value}, expected a whole number above 0")
    return value


def _positive(settings: Mapping[str, Any], key: str, where: str) -> float | None:
    """Return a number above 0; None if the configuration does not have the key, or says null."""
    value = settings.get(key)
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
        raise BenchmarkError(f"{where}: its config.json says {key} {value}, expected a number above 0")
    return float(value)
