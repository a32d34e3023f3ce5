"""The checkpoint format of transformers."""

from __future__ import annotations

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
from benchmark.spec.backbone import Family


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
        positions = positions_of(tensors, True, where)
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
        return make_geometry(tensors, True, grid, epsilons, evidence, heads=heads)

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


def _whole(settings: Mapping[str, Any], key: str, default: int, where: str) -> int:
    value = settings.get(key, default)
    if not isinstance(value, int) or value < 1:
        raise BenchmarkError(f"{where}: its config.json says {key} {value}, expected a whole number above 0")
    return value
