"""The audio Transformer of AST, SSAST and AudioMAE: a ViT on spectrograms, with prompts and sites for modules.

Source: AST@31088be, SSAST@a1a3eec src/models/ast_models.py; AudioMAE@877faec models_vit.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from benchmark.models.contract import Backbone, ModelConfig
from benchmark.models.head import Head
from benchmark.models.positional import adapt_positional, draw_positional
from benchmark.models.vit import PATCH, Block, SpectrogramPatches, VisionTransformer

__all__ = ["AudioTransformer", "CallBlock", "ModelConfig"]

CallBlock = Callable[[int, nn.Module, torch.Tensor], torch.Tensor]  # number of the block, block, tokens -> tokens
POSITIONS = "v.pos_embed"


class AudioTransformer(Backbone):
    """A Transformer from spectrograms to logits; parameters have the official names (`v.*`, `mlp_head.*`).

    The two ImageNet heads of the official model, which its forward pass never uses, do not exist here.

    Args:
        config: the architecture.

    Attributes:
        call_block: how a block is called; replaced to keep no activations.

    Raises:
        ValueError: the input is smaller than a patch.
    """

    v: VisionTransformer

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if min(config.grid) < 1:
            raise ValueError(f"{config.mels} mel bands x {config.frames} frames are less than a {PATCH}x{PATCH} patch")
        self.config = config
        patch_embed = self.make_patches(config)
        self.v = VisionTransformer(
            config.shape.width,
            math.prod(config.grid),
            patch_embed,
            [self.make_block(config) for _ in range(config.shape.depth)],
            class_tokens=config.class_tokens,
            fixed_positions=config.positions.kind == "fixed",
            norm=nn.LayerNorm(config.shape.width, eps=config.norm_eps) if config.final_norm else nn.Identity(),
        )
        self.mlp_head = Head(config.shape.width, config.classes, config.head_norm_eps, config.head_dropout)
        self.prompt_tokens = 0
        self.prompts = config.prompts
        self.deep_prompts = True
        self.call_block: CallBlock = _call_block

    def make_block(self, config: ModelConfig) -> nn.Module:
        """Return a new Transformer block, (B, N, D) -> (B, N, D)."""
        return Block(config.shape.width, config.shape.heads, config.norm_eps, qkv_bias=config.qkv_bias)

    def make_patches(self, config: ModelConfig) -> nn.Module:
        """Return a new projection of patches: (B, 1, rows, columns) -> (B, F*T, D), row by row.

        Rows are mel bands, or frames where the sequence of tokens begins with all patches of the first frames.
        """
        stride = config.stride if config.tokens == "frequency" else config.stride[::-1]
        return SpectrogramPatches(config.shape.width, stride)

    @classmethod
    def rename_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the tensors of a checkpoint file under the names of this class (`v.*`); others are dropped.

        For classes from outside; the suite's own backbones read every published format (`LAYOUTS`).

        Args:
            tensors: by the file's names, without wrappers such as `module.`.
        """
        return {name: tensor for name, tensor in tensors.items() if name.startswith("v.")}

    def fit_grid(self, tensors: Mapping[str, torch.Tensor], grid: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Return a backbone's tensors for this model's input size.

        Args:
            tensors: of a model with the patch grid `grid`.
            grid: patches in frequency and time.
        """
        config = self.config
        fitted = adapt_positional(tensors[POSITIONS], grid, config.grid, config.prefix, config.positions)
        return {**tensors, POSITIONS: fitted}

    def random_tensors(self, grid: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Return the backbone's random weights, as of pre-training on the patch grid `grid`.

        The positional embedding is drawn, or computed if it is fixed.
        """
        positions = draw_positional(self.width, grid, self.config.prefix, self.config.positions)
        return {**self.backbone_tensors(), POSITIONS: positions}

    def backbone_tensors(self) -> dict[str, torch.Tensor]:
        """Return the backbone's tensors by name."""
        return {name: tensor for name, tensor in self.state_dict().items() if name.startswith("v.")}

    def load_backbone(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Copy a backbone's tensors into the model; the positional embedding must have this model's grid.

        Raises:
            RuntimeError: names or shapes differ from the backbone's.
        """
        self.v.load_state_dict({name.removeprefix("v."): tensor for name, tensor in tensors.items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, frames, mels) normalised filter banks -> (B, classes) logits."""
        return self.head(self.pool(self.encode(self.patches(x))))

    def head(self, pooled: torch.Tensor) -> torch.Tensor:
        """(B, D) pooled tokens -> (B, classes) logits."""
        if self.config.float32_logits and not self.training and torch.is_autocast_enabled(pooled.device.type):
            with torch.autocast(pooled.device.type, enabled=False):
                exact: torch.Tensor = self.mlp_head(pooled.float())
                return exact
        logits: torch.Tensor = self.mlp_head(pooled)
        return logits

    def patches(self, x: torch.Tensor) -> torch.Tensor:
        """(B, frames, mels) normalised filter banks -> (B, F*T, D) projected patches in the order of tokens."""
        frames_first = x.unsqueeze(1)
        patches: torch.Tensor = self.v.patch_embed(
            frames_first.transpose(2, 3) if self.config.tokens == "frequency" else frames_first
        )
        return patches

    def encode(self, patches: torch.Tensor) -> torch.Tensor:
        """(B, F*T, D) projected patches -> (B, N, D) tokens after the last LayerNorm, class tokens first."""
        normed: torch.Tensor = self.v.norm(self.run_blocks(self.embed(patches)))
        return normed

    def embed(self, patches: torch.Tensor) -> torch.Tensor:
        """(B, F*T, D) projected patches -> (B, N, D) tokens before the first block, class tokens first."""
        class_tokens = self.v.class_tokens()
        if class_tokens is None:
            return patches + self.v.pos_embed
        # shape[0], not len(): that would fix the number of clips in an exported model
        expanded = class_tokens.expand(patches.shape[0], -1, -1)
        return torch.cat([expanded, patches], dim=1) + self.v.pos_embed

    def run_blocks(self, tokens: torch.Tensor, first: int = 0, end: int | None = None) -> torch.Tensor:
        """(B, N, D) tokens before block `first` -> (B, N, D) tokens after block `end - 1`; None: after the last one."""
        for layer, block in enumerate(self.blocks):
            if first <= layer < (len(self.blocks) if end is None else end):
                tokens = self.call_block(layer, block, self._prompted(tokens, layer))
        return tokens

    def is_prompted(self, layer: int) -> bool:
        """Return whether prompts are put among the tokens before block `layer` (from 0)."""
        if layer == 0 and self.prompts == "overwrite":
            return False  # the official code discards its first prompts (defect D1)
        return bool(self.prompt_tokens) and (layer == 0 or self.deep_prompts)

    def _prompted(self, tokens: torch.Tensor, layer: int) -> torch.Tensor:
        if not self.is_prompted(layer):
            return tokens
        overwrite, first = self.prompts == "overwrite", layer == 0
        start = self.config.overwritten_from if overwrite else self.config.prefix
        prompt = self.prompt_embeddings[0] if first else self.deep_prompt_embeddings[layer - 1]
        replaced = len(prompt) if overwrite else self.prompt_tokens
        rest = tokens[:, start if first else start + replaced :]
        return torch.cat([tokens[:, :start], prompt.expand(tokens.shape[0], -1, -1), rest], dim=1)

    def pool(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, D) tokens after the last LayerNorm -> (B, D) input of the head."""
        prefix = self.config.prefix
        if self.config.pooling == "cls":
            return tokens[:, :prefix].mean(dim=1)
        return tokens[:, prefix + self.prompt_tokens :].mean(dim=1)  # prompts are never pooled


def _call_block(_: int, block: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = block(tokens)
    return out
