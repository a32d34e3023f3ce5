"""What a method trains, in a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from benchmark.trial.build import HEAD, Built
from benchmark.units import plural

SHOWN = 8  # kinds of parameters that are named
_IN_BLOCK = re.compile(r"v\.blocks\.(\d+)\.(.+)")


def trained_notes(built: Built, where: str) -> tuple[str, ...]:
    """Return what a model trains, and what is odd about it, one line each.

    Args:
        built: the adapted model.
        where: the backbone.
    """
    trained = {name: tensor.numel() for name, tensor in built.model.named_parameters() if tensor.requires_grad}
    of_method = [name for name in trained if not name.startswith(HEAD)]
    if not of_method:
        return (f"trains nothing beside the head ({sum(trained.values()):,} parameters), as `linear` does",)
    counts = f"{sum(map(trained.__getitem__, of_method)):,} parameters in {plural(len(of_method), 'tensor')}"
    parts = [f"trains {counts} on {where}: {_named(of_method)}"]
    groups = [(group.names, _rates(group.lr_scale, group.weight_decay)) for group in built.groups]
    if used := [f"{_named(names)} {rates} ({plural(len(names), 'tensor')})" for names, rates in groups if names]:
        parts.append(f"groups: {', '.join(used)}")
    parts.append("head")
    empty = [
        f"a group of param_groups() is empty ({rates}): it names no parameter" for names, rates in groups if not names
    ]
    return ("; ".join(parts), *empty)


def _rates(lr_scale: float, weight_decay: float | None) -> str:
    decay = "" if weight_decay is None else f", weight decay {weight_decay:g}"
    return f"lr x{lr_scale:g}{decay}"


def _named(names: Sequence[str]) -> str:
    """Return names of parameters, where those of blocks that differ in the block's number only are one kind."""
    kinds: dict[str, list[int]] = {}
    for name in names:
        found = _IN_BLOCK.fullmatch(name)
        kinds.setdefault(found[2] if found else name, []).extend([int(found[1])] if found else [])
    texts = [f"{kind} ({_blocks(blocks)})" if blocks else kind for kind, blocks in kinds.items()]
    rest = [f"and {len(texts) - SHOWN} more kinds"] if len(texts) > SHOWN + 1 else []
    return ", ".join([*(texts[:SHOWN] if rest else texts), *rest])


def _blocks(numbers: Iterable[int]) -> str:
    """Return numbers of blocks: `block 3`, `blocks 0 to 11`, `blocks 0, 2, 4`."""
    found = sorted(numbers)
    if len(found) == 1:
        return f"block {found[0]}"
    is_range = len(found) > 2 and found == list(range(found[0], found[-1] + 1))
    return f"blocks {f'{found[0]} to {found[-1]}' if is_range else ', '.join(map(str, found))}"
