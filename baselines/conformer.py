"""Conformer adapters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from benchmark.methods import Method, register

if TYPE_CHECKING:
    from benchmark.models.attach import Site
    from benchmark.models.transformer import AudioTransformer


@register(
    "conformer",
    label="Conformer adapter",
    source="arXiv:2312.03694; github.com/umbertocappellazzo/PETL_AST src/AST_adapters.py, src/Wav2Vec_adapter.py",
)
@dataclass(frozen=True, kw_only=True)
class ConformerAdapter(Method):
    """The Conformer's convolution module in parallel with every block's attention; with `houlsby`, also with its MLP.

    `bottleneck` is the hidden width. A value below 1 is a share of the model's width,
    otherwise the number of units. `kernel` is an odd number
    of tokens.
    """

    bottleneck: Annotated[float, Field(gt=0)] = 0.0625
    kernel: Annotated[int, Field(ge=1)] = 31
    houlsby: bool = False

    @classmethod
    def search_space(cls) -> Mapping[str, tuple[Any, ...]]:
        """Return odd kernels and shares of the width; values from 1 on would be numbers of units."""
        return {"bottleneck": (0.03125, 0.0625, 0.125, 0.25), "kernel": (7, 15, 31, 63), "houlsby": (False, True)}

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert the modules and return their parameters' names."""
        from benchmark.models.convolution import ConformerModule  # not above: listing methods must not import torch

        if self.kernel % 2 == 0:
            raise ValueError(f"kernel={self.kernel}: it must be an odd number of tokens")
        sites: tuple[Site, ...] = ("attn_parallel", "mlp_parallel") if self.houlsby else ("attn_parallel",)
        for layer in model.layers:
            for site in sites:
                module = ConformerModule(model.width, self.bottleneck, self.kernel)
                yield from model.insert(site, layer, f"conformer_{site}", module)
