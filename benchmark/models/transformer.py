"""The audio Transformer of AST and SSAST: a (distilled) ViT on spectrograms, with prompts and sites for modules.

Source: AST@31088be, SSAST@a1a3eec src/models/ast_models.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from benchmark.models.attach import Site, attach, insert
from benchmark.models.attention import Attention
from benchmark.models.head import Head
from benchmark.models.vit import PATCH, VisionTransformer
from benchmark.spec.backbone import Shape

CallBlock = Callable[[int, nn.Module, torch.Tensor], torch.Tensor]  # number of the block, block, tokens -> tokens
OVERWRITTEN_FROM = 2  # the official prompts assume two class tokens (defect D26)


@dataclass(frozen=True)
class ModelConfig:
    """The architecture of an `AudioTransformer`.

    Attributes:
        shape: width, depth and heads.
        mels: mel bands of the input.
        frames: frames of the input.
        stride: of the patches, in (mel bands, frames).
        classes: outputs of the head.
        pooling: tokens whose mean the head reads: class tokens or patches.
        prompts: whether prompt tokens overwrite patch tokens, as in the official code, or are inserted.
        distilled: whether there is a dist token; one SSAST checkpoint has none.
        norm_eps: epsilon of LayerNorms in the backbone.
        head_norm_eps: epsilon of the head's LayerNorm.
        qkv_bias: whether query, key and value have biases.
        float32_logits: whether an evaluation under autocast computes the head in float32.
        head_dropout: dropout of the head's normalised input.
    """

    shape: Shape
    mels: int
    frames: int
    stride: tuple[int, int]
    classes: int
    pooling: Literal["cls", "patches"] = "cls"
    prompts: Literal["overwrite", "insert"] = "overwrite"
    distilled: bool = True
    norm_eps: float = 1e-6
    head_norm_eps: float = 1e-5
    qkv_bias: bool = True
    float32_logits: bool = False
    head_dropout: float = 0.0

    @property
    def prefix(self) -> int:
        """Number of class tokens before the patches."""
        return 2 if self.distilled else 1

    @property
    def grid(self) -> tuple[int, int]:
        """Number of patches in frequency and time."""
        return (self.mels - PATCH) // self.stride[0] + 1, (self.frames - PATCH) // self.stride[1] + 1


class AudioTransformer(nn.Module):
    """A Transformer from spectrograms to logits; parameters have the official names (`v.*`, `mlp_head.*`).

    The two ImageNet heads of the official model, which its forward pass never uses, do not exist here.

    Args:
        config: the architecture.

    Attributes:
        call_block: how a block is called; replaced to keep no activations.

    Raises:
        ValueError: the input is smaller than a patch.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if min(config.grid) < 1:
            raise ValueError(f"{config.mels} mel bands x {config.frames} frames are less than a {PATCH}x{PATCH} patch")
        self.config = config
        self.v = VisionTransformer(
            config.shape, config.grid, config.stride, distilled=config.distilled, norm_eps=config.norm_eps,
            qkv_bias=config.qkv_bias,
        )  # fmt: skip
        self.mlp_head = Head(config.shape.width, config.classes, config.head_norm_eps, config.head_dropout)
        self.prompt_tokens = 0
        self.prompts: Literal["overwrite", "insert"] = config.prompts
        self.deep_prompts = True
        self.call_block: CallBlock = _call_block

    @property
    def width(self) -> int:
        """D, the size of a token."""
        return self.config.shape.width

    @property
    def blocks(self) -> nn.Sequential:
        """The Transformer blocks."""
        return self.v.blocks

    def backbone_tensors(self) -> dict[str, torch.Tensor]:
        """Return the backbone's tensors by name."""
        return {name: tensor for name, tensor in self.state_dict().items() if name.startswith("v.")}

    def load_backbone(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Copy a backbone's tensors into the model; the positional embedding must have this model's grid.

        Raises:
            RuntimeError: names or shapes differ from the backbone's.
        """
        self.v.load_state_dict({name.removeprefix("v."): tensor for name, tensor in tensors.items()})

    def insert(self, site: Site, layer: int, name: str, module: nn.Module) -> list[str]:
        """Insert a module at a site of a block; see `benchmark.models.attach` for the order in which modules act.

        Args:
            site: `attn_out` or `mlp_out`: the module gets the sub-layer's output and replaces it, before the residual
                addition. `attn_parallel` or `mlp_parallel`: it gets the sub-layer's normalised input, and its output
                is added to the sub-layer's.
            layer: number of the block, from 0.
            name: of the module as a child of the block.
            module: (B, N, D) -> (B, N, D).

        Returns:
            The names of the module's parameters within this model.

        Raises:
            ValueError: unknown site, or the name is taken.
        """
        insert(self.blocks[layer], site, name, module)
        return [f"v.blocks.{layer}.{name}.{parameter}" for parameter, _ in module.named_parameters()]

    def attach(self, path: str, name: str, module: nn.Module, *, parallel: bool) -> list[str]:
        """Attach a module to any other, its host; see `benchmark.models.attach` for the order in which modules act.

        Args:
            path: the host, such as `v.blocks.0.attn.qkv`.
            name: of the module as a child of the host.
            module: what is attached.
            parallel: it gets the host's input, and its output is added; else it gets the host's output and replaces it.

        Returns:
            The names of the module's parameters within this model.

        Raises:
            ValueError: there is no such host, or the name is taken.
        """
        return attach(self, path, name, module, parallel=parallel)

    def add_prefix(self, layer: int, tokens: int) -> list[str]:
        """Add learnable keys and values to the attention of block `layer` (from 0).

        Returns:
            The names of the new parameters.

        Raises:
            ValueError: the block has a prefix already.
        """
        attention = self.blocks[layer].attn
        assert isinstance(attention, Attention)
        attention.add_prefix(tokens)
        return [f"v.blocks.{layer}.attn.prefix"]

    def add_prompts(
        self,
        tokens: int,
        deep_tokens: int | None = None,
        *,
        deep: bool = True,
        prompts: Literal["overwrite", "insert"] | None = None,
    ) -> list[str]:
        """Add prompts: learnable tokens for every block or for the first, initialized uniformly as in VPT.

        Source: AAT@dc406ad src/models/ast_models.py; arXiv:2203.12119.

        Args:
            tokens: number of prompts of the first block.
            deep_tokens: number of prompts of a later block, if it differs, as in one branch of the official code
                (defect D9); only prompts that overwrite may differ.
            deep: new prompts for every block; else those of the first block stay.
            prompts: overwrite patch tokens or insert; None follows the protocol.

        Returns:
            The names of the new parameters.

        Raises:
            ValueError: there are prompts already, or more prompts than patches to overwrite.
        """
        if self.prompt_tokens:
            raise ValueError("the model has prompts already: two methods add them")
        self.prompts, self.deep_prompts = prompts or self.prompts, deep
        if self.prompts == "overwrite" and tokens > math.prod(self.config.grid):
            raise ValueError(f"{tokens} prompt tokens cannot overwrite {math.prod(self.config.grid)} patch tokens")
        bound = math.sqrt(6 / (3 * PATCH * PATCH + self.width))
        self.prompt_embeddings = nn.Parameter(torch.empty(1, tokens, self.width).uniform_(-bound, bound))
        self.prompt_tokens = tokens
        if not deep:
            return ["prompt_embeddings"]
        later = (len(self.blocks) - 1, tokens if deep_tokens is None else deep_tokens, self.width)
        self.deep_prompt_embeddings = nn.Parameter(torch.empty(later).uniform_(-bound, bound))
        return ["prompt_embeddings", "deep_prompt_embeddings"]

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
        """(B, frames, mels) normalised filter banks -> (B, F*T, D) projected patches, frequency-major."""
        patches: torch.Tensor = self.v.patch_embed(x.unsqueeze(1).transpose(2, 3))
        return patches

    def encode(self, patches: torch.Tensor) -> torch.Tensor:
        """(B, F*T, D) projected patches -> (B, N, D) tokens after the last LayerNorm, class tokens first."""
        normed: torch.Tensor = self.v.norm(self.run_blocks(self.embed(patches)))
        return normed

    def embed(self, patches: torch.Tensor) -> torch.Tensor:
        """(B, F*T, D) projected patches -> (B, N, D) tokens before the first block, class tokens first."""
        # shape[0], not len(): that would fix the number of clips in an exported model
        expanded = self.v.class_tokens().expand(patches.shape[0], -1, -1)
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
        start = OVERWRITTEN_FROM if overwrite else self.config.prefix
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
