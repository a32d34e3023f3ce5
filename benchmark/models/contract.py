"""The contract of a backbone: what methods may rely on, whatever the architecture.

`AudioTransformer` keeps it for AST, SSAST and AudioMAE. A class from outside derives from `AudioTransformer`, see
`benchmark.models.registry`, and states in class attributes where its blocks differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import nn

from benchmark.models.attach import Site, attach, insert
from benchmark.models.vit import PATCH
from benchmark.spec.backbone import Positions, Shape

SlotName = Literal["q", "k", "v", "o", "up", "down"]
SLOTS: tuple[SlotName, ...] = get_args(SlotName)
SUBLAYERS: dict[str, tuple[SlotName, ...]] = {"attention": SLOTS[:4], "mlp": SLOTS[4:], "all": SLOTS}
OVERWRITTEN_FROM = 2  # in the official code (defect D26)


class Slot(NamedTuple):
    """A named linear map of a block: the attention's query, key, value and output, the MLP's up and down projection.

    Attributes:
        path: the linear layer. From a class attribute: within the block; from `Backbone.slots`: within the model.
        part: which of the equal parts of the layer's output it is.
        of: number of these parts: 3 in a joint projection of query, key and value.
    """

    path: str
    part: int = 0
    of: int = 1


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
        overwritten_from: first token that prompts overwrite; the official code assumes two class tokens (defect D26).
        class_tokens: tokens before the patches; one SSAST checkpoint has no dist token.
        norm_eps: epsilon of LayerNorms in the backbone.
        head_norm_eps: epsilon of the head's LayerNorm.
        qkv_bias: whether query, key and value have biases.
        float32_logits: whether an evaluation under autocast computes the head in float32.
        head_dropout: dropout of the head's normalised input.
        tokens: axis of the patch grid that varies slowest in the sequence of patch tokens.
        positions: the positional embedding.
        final_norm: whether a LayerNorm follows the last block.
    """

    shape: Shape
    mels: int
    frames: int
    stride: tuple[int, int]
    classes: int
    pooling: Literal["cls", "patches"] = "cls"
    prompts: Literal["overwrite", "insert"] = "overwrite"
    overwritten_from: int = OVERWRITTEN_FROM
    class_tokens: int = 2
    norm_eps: float = 1e-6
    head_norm_eps: float = 1e-5
    qkv_bias: bool = True
    float32_logits: bool = False
    head_dropout: float = 0.0
    tokens: Literal["frequency", "time"] = "frequency"
    positions: Positions = field(default_factory=Positions)
    final_norm: bool = True

    @property
    def prefix(self) -> int:
        """Number of class tokens before the patches."""
        return self.class_tokens

    @property
    def grid(self) -> tuple[int, int]:
        """Number of patches in frequency and time."""
        return (self.mels - PATCH) // self.stride[0] + 1, (self.frames - PATCH) // self.stride[1] + 1

    @property
    def token_grid(self) -> tuple[int, int]:
        """The patch grid as rows and columns in the order of the patch tokens."""
        frequency, time = self.grid
        return (frequency, time) if self.tokens == "frequency" else (time, frequency)


class Backbone(nn.Module):
    """What all backbones offer to methods. Parameters of the backbone are in `v`, those of the head in `mlp_head`.

    Attributes:
        SLOTS: the linear layers of a block by slot.
        NORMS: the normalisations of a block.
        ATTENTION: the block's attention: sites `attn_*` and `add_prefix` act on it.
        MLP: the block's MLP: sites `mlp_*` act on it.
        PROJECTION: the layer that projects patches, within the model.
        FINAL_NORMS: the normalisations after the last block, within the model.
        config: the architecture.
        prompt_tokens: number of prompts.
        prompts: whether prompts overwrite patch tokens or are inserted.
        deep_prompts: whether every block has prompts of its own.
    """

    SLOTS: ClassVar[Mapping[SlotName, Slot]] = {
        "q": Slot("attn.qkv", 0, 3),
        "k": Slot("attn.qkv", 1, 3),
        "v": Slot("attn.qkv", 2, 3),
        "o": Slot("attn.proj"),
        "up": Slot("mlp.fc1"),
        "down": Slot("mlp.fc2"),
    }
    NORMS: ClassVar[tuple[str, ...]] = ("norm1", "norm2")
    ATTENTION: ClassVar[str] = "attn"
    MLP: ClassVar[str] = "mlp"
    PROJECTION: ClassVar[str] = "v.patch_embed.proj"
    FINAL_NORMS: ClassVar[tuple[str, ...]] = ("v.norm",)

    v: nn.Module
    config: ModelConfig
    prompt_tokens: int
    prompts: Literal["overwrite", "insert"]
    deep_prompts: bool

    @property
    def width(self) -> int:
        """D, the size of a token."""
        return self.config.shape.width

    @property
    def constant_buffers(self) -> frozenset[str]:
        """The names of buffers that nothing changes: a fixed positional embedding."""
        return frozenset({"v.pos_embed"} if self.config.positions.kind == "fixed" else ())

    @property
    def blocks(self) -> nn.Sequential:
        """The Transformer blocks."""
        blocks = self.v.blocks
        assert isinstance(blocks, nn.Sequential)
        return blocks

    @property
    def layers(self) -> range:
        """The numbers of the blocks, from 0."""
        return range(len(self.blocks))

    @property
    def token_grid(self) -> tuple[int, int]:
        """The patch grid as rows and columns in the order of the patch tokens, which are the last tokens."""
        return self.config.token_grid

    def slots(self, layer: int) -> dict[SlotName, Slot]:
        """Return the linear maps of block `layer`, with paths within the model, in the order of `SLOTS`."""
        return {name: self.SLOTS[name]._replace(path=f"{_block(layer)}.{self.SLOTS[name].path}") for name in SLOTS}

    def linear_layers(self, sublayer: Literal["attention", "mlp", "all"]) -> list[str]:
        """Return the paths, within a block, of the layers that the slots of a sub-layer are in, each once."""
        return list(dict.fromkeys(self.SLOTS[name].path for name in SUBLAYERS[sublayer]))

    def norms(self, layer: int) -> list[str]:
        """Return the paths of the normalisations of block `layer`."""
        return [f"{_block(layer)}.{path}" for path in self.NORMS]

    def final_norms(self) -> list[str]:
        """Return the paths of the normalisations after the last block; none if the backbone has none."""
        return [path for path in self.FINAL_NORMS if not isinstance(self.get_submodule(path), nn.Identity)]

    def all_norms(self) -> list[str]:
        """Return the paths of all normalisations of the backbone, those of the blocks first."""
        return [*(path for layer in self.layers for path in self.norms(layer)), *self.final_norms()]

    def scaled_layers(self, layer: int) -> list[str]:
        """Return the paths of the slots' layers and the normalisations of block `layer`, in the block's order."""
        paths = {*self.NORMS, *(slot.path for slot in self.SLOTS.values())}
        return [f"{_block(layer)}.{path}" for path, _ in self.blocks[layer].named_modules() if path in paths]

    def parameters_of(self, layer: int) -> list[str]:
        """Return the names of all parameters of block `layer`, with those of modules that methods inserted."""
        return [f"{_block(layer)}.{name}" for name, _ in self.blocks[layer].named_parameters()]

    def norm_parameters(self) -> set[str]:
        """Return the names of all parameters of normalisations, with those of modules that methods attached."""
        norms = {path: self.get_submodule(path) for path in self.all_norms()}
        return {f"{path}.{name}" for path, norm in norms.items() for name, _ in norm.named_parameters()}

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
        insert(self.blocks[layer], site, name, module, {"attn": self.ATTENTION, "mlp": self.MLP}, layer)
        return [f"{_block(layer)}.{name}.{parameter}" for parameter, _ in module.named_parameters()]

    def attach(self, path: str, name: str, module: nn.Module, *, parallel: bool) -> list[str]:
        """Attach a module to any other, its host; see `benchmark.models.attach` for the order in which modules act.

        Args:
            path: the host: that of a slot or a normalisation, or any other module.
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
            ValueError: the block has a prefix already, or its attention takes none.
        """
        attention = self.blocks[layer].get_submodule(self.ATTENTION)
        add = getattr(attention, "add_prefix", None)
        if add is None:
            raise ValueError(f"{type(attention).__name__}, the attention of this backbone, has no add_prefix(tokens)")
        before = dict(attention.named_parameters()).keys()
        add(tokens)
        added = [name for name, _ in attention.named_parameters() if name not in before]
        return [f"{_block(layer)}.{self.ATTENTION}.{name}" for name in added]

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


def _block(layer: int) -> str:
    """Return the path of a block."""
    return f"v.blocks.{layer}"
