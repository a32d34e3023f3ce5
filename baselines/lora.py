"""LoRA: low-rank updates of linear layers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.contract import Slot
    from benchmark.models.transformer import AudioTransformer


@register("lora", label="LoRA", source="arXiv:2106.09685; github.com/microsoft/LoRA loralib/layers.py")
@dataclass(frozen=True, kw_only=True)
class LoRA(Method):
    """A low-rank update of linear layers in every block, zero at initialization and scaled by `alpha / rank`.

    `targets` lists the layers by letter: q, k and v of the attention, o its output projection, u and d the MLP's up and
    down projections.
    """

    identity_at_start: ClassVar[bool] = True

    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Annotated[float, Field(gt=0)] = 16
    targets: Annotated[str, Field(pattern="^[qkvoud]+$")] = "qv"

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Attach the updates and return their parameters' names."""
        from torch import Tensor  # not above: listing methods must not import torch

        from benchmark.models.linear import LowRank

        for layer in model.layers:
            layers: dict[str, list[Slot]] = {}  # slots by path: query, key and value may share a layer
            for name, slot in model.slots(layer).items():
                if name[0] in self.targets:
                    layers.setdefault(slot.path, []).append(slot)
            for path, slots in layers.items():
                weight = model.get_submodule(path).weight  # the layer may be one of `peft/*`, not torch's
                assert isinstance(weight, Tensor)
                outputs, inputs = weight.shape
                parts = tuple(slot.part for slot in slots)
                scale = self.alpha / self.rank
                update = LowRank(inputs, outputs, self.rank, scale, parts=parts, of=slots[0].of)
                yield from model.attach(path, "lora", update, parallel=True)
