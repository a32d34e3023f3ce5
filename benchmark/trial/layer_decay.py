"""Layer-wise decay of the learning rate: parameters near the input change less than those near the head.

Source: BEiT (arXiv:2106.08254), microsoft/unilm beit/optim_factory.py, `get_num_layer_for_vit` and
`LayerDecayValueAssigner`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from benchmark.methods.contract import ParamGroup

_BLOCK = re.compile(r"v\.blocks\.(\d+)\.")


def layer_scale(name: str, blocks: int, decay: float, final_norms: Sequence[str]) -> float:
    """Return the factor on the learning rate of a parameter: `decay` to the power of its distance from the head.

    The distance is 1 for the last block and `blocks` + 1 for the patch projection, the class tokens and the positional
    embedding. It is 0 for all else: the head, the normalisations after the last block, and prompts, which
    belong to several blocks.

    Args:
        name: as in `model.named_parameters()`.
        blocks: number of blocks.
        decay: above 0, at most 1.
        final_norms: paths of the normalisations after the last block, `Backbone.final_norms()`.
    """
    if found := _BLOCK.match(name):
        return float(decay ** (blocks - int(found[1])))
    is_last = any(name.startswith(f"{path}.") for path in final_norms)
    return float(decay ** (blocks + 1)) if name.startswith("v.") and not is_last else 1.0


def decayed_groups(
    names: Sequence[str], groups: Iterable[ParamGroup], blocks: int, decay: float, final_norms: Sequence[str]
) -> list[ParamGroup]:
    """Return groups of parameters with the decay; those that need no group of their own are left out.

    The factors of a method's own groups are multiplied with it.

    Args:
        names: all trained parameters.
        groups: of the method.
        blocks: number of blocks of the model.
        decay: as `layer_scale`.
        final_norms: as `layer_scale`.
    """
    own = {name: group for group in groups for name in group.names}
    members: dict[tuple[float, float | None], list[str]] = {}
    for name in names:
        group = own.get(name, ParamGroup((name,)))
        scale = group.lr_scale * layer_scale(name, blocks, decay, final_norms)
        members.setdefault((scale, group.weight_decay), []).append(name)
    return [
        ParamGroup(tuple(of_group), scale, weight_decay)
        for (scale, weight_decay), of_group in members.items()
        if (scale, weight_decay) != (1.0, None)
    ]
