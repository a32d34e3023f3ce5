"""What evaluation computes once: the output of a model's frozen part, which is the same in every epoch.

The frozen part is what comes before the first block that trains, has prompts or buffers, or runs code from outside the
suite, which may draw random numbers or keep something between calls. It is read off the built model, not off the
method's name. Training is left alone: its batches are composed again in every epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from benchmark.models.attach import has_other_hooks
from benchmark.models.transformer import AudioTransformer
from benchmark.trial.compiled import Call

# Modules of these packages draw nothing in evaluation and keep nothing between calls but buffers.
KNOWN_PACKAGES = ("torch.nn.", "benchmark.models.", "baselines.")


@dataclass(frozen=True)
class FrozenPart:
    """The first part of a model, whose output for a clip is the same in every epoch.

    Attributes:
        model: in evaluation mode.
        blocks: number of blocks in the part.
        pooled: whether the last LayerNorm and the pooling belong to it, so that only the head is left.
    """

    model: AudioTransformer
    blocks: int
    pooled: bool

    @classmethod
    def of(cls, model: AudioTransformer) -> FrozenPart | None:
        """Return the frozen part of a model in evaluation mode; None if it has no block.

        The projected patches alone are not kept: they are larger than the input that they are computed from.
        """
        tokens = (model.v.cls_token, model.v.dist_token, model.v.pos_embed)
        trains = any(parameter is not None and parameter.requires_grad for parameter in tokens)
        called = (model, model.v, model.v.blocks)  # of these, only the code: their other parts are looked at below
        if trains or not all(map(_is_known, called)) or not _is_fixed(model.v.patch_embed):
            return None
        layers = range(len(model.blocks))
        fixed = [not model.is_prompted(layer) and _is_fixed(model.blocks[layer]) for layer in layers]
        blocks = next((layer for layer in layers if not fixed[layer]), len(fixed))
        return cls(model, blocks, blocks == len(fixed) and _is_fixed(model.v.norm)) if blocks else None

    def before(self, features: torch.Tensor) -> torch.Tensor:
        """(B, frames, mels) features -> the part's output: (B, N, D) tokens, or the (B, D) input of the head."""
        tokens = self.model.run_blocks(self.model.embed(self.model.patches(features)), end=self.blocks)
        return self.model.pool(self.model.v.norm(tokens)) if self.pooled else tokens

    def after(self, output: torch.Tensor) -> torch.Tensor:
        """The part's output -> (B, classes) logits. The output stays as it is, whatever later modules do in place."""
        output = output.clone()
        if not self.pooled:
            output = self.model.pool(self.model.v.norm(self.model.run_blocks(output, self.blocks)))
        return self.model.head(output)

    def versions(self) -> list[tuple[int, int]]:
        """Return what changes when a parameter of the part is replaced or written to."""
        v = self.model.v
        owned = [token for token in (v.cls_token, v.pos_embed, v.dist_token) if token is not None]
        modules = [v.patch_embed, *list(v.blocks)[: self.blocks], *([v.norm] if self.pooled else [])]
        parameters = [*owned, *(parameter for module in modules for parameter in module.parameters())]
        return [(parameter.data_ptr(), parameter._version) for parameter in parameters]


@dataclass
class FrozenFeatures:
    """Outputs of a model's frozen part for evaluation batches, kept on the model's device.

    Splits are kept completely or not at all, in the order in which they are evaluated first.

    Attributes:
        model: the model.
        limit: largest size of what is kept, in bytes.
    """

    model: AudioTransformer
    limit: int
    _part: FrozenPart | None = None
    _versions: list[tuple[int, int]] = field(default_factory=list)
    _kept: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Size of all that is kept."""
        return sum(output.nbytes for outputs in self._kept.values() for output in outputs)

    def of(self, split: str) -> tuple[list[torch.Tensor], Call] | None:
        """Return the outputs of all batches of a split and the rest of the model; None if they are not kept.

        All is dropped if the frozen part is not what it was. The model must be in evaluation mode.
        """
        part = FrozenPart.of(self.model)
        versions = part.versions() if part else []
        if (part, versions) != (self._part, self._versions):
            self._part, self._versions = part, versions
            self._kept.clear()
        outputs = self._kept.get(split)
        return (outputs, part.after) if outputs and part else None

    def keeping(self, split: str, clips: int) -> Call | None:
        """Return the model as a function that keeps the outputs of a split; None if nothing can be kept.

        Args:
            split: the split; call `of` before.
            clips: its number of clips.
        """
        part, room = self._part, self.limit - self.bytes
        if part is None or clips * output_bytes(part) > room:
            return None

        def call(features: torch.Tensor) -> torch.Tensor:
            output = part.before(features)
            self._kept.setdefault(split, []).append(output)
            return part.after(output)

        return call


def output_bytes(part: FrozenPart) -> int:
    """Return the size of a frozen part's output per clip, in float32."""
    config = part.model.config
    tokens = 1 if part.pooled else config.prefix + config.grid[0] * config.grid[1]
    return tokens * part.model.width * torch.float32.itemsize


def runs_known_code(model: nn.Module) -> bool:
    """Return whether a model has only modules that draw nothing in evaluation and keep nothing between calls."""
    return all(map(_is_known, model.modules()))


def _is_fixed(module: nn.Module) -> bool:
    """Return whether a module's output for an input is the same in every epoch."""
    stays = not any(parameter.requires_grad for parameter in module.parameters())
    return stays and not any(True for _ in module.buffers()) and runs_known_code(module)


def _is_known(module: nn.Module) -> bool:
    """Return whether a module runs only code of `KNOWN_PACKAGES`, and not in training mode."""
    kind = type(module)
    replaced: Iterable[str] = (name for name in vars(module) if callable(getattr(kind, name, None)))
    return (
        kind.__module__.startswith(KNOWN_PACKAGES)
        and not module.training
        and not has_other_hooks(module)
        and not any(True for _ in replaced)  # such as a `forward` of this instance
    )
