"""What distinguishes table cells of the same protocol, backbone, dataset and method."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from benchmark.spec.request import TrialRequest

DIGEST_SHOWN = 8  # characters


def distinguishing_settings(requests: Mapping[str, TrialRequest]) -> dict[str, str]:
    """Return for each cell the settings in which it differs from cells of the same name, such as `epochs=2`.

    The text is empty for a cell that is alone with its protocol, backbone, dataset and method.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for cell, request in requests.items():
        key = (request.protocol.name, request.backbone.variant, request.task, request.method.variant)
        groups.setdefault(key, []).append(cell)
    settings = {}
    for cells in groups.values():
        flat = {cell: flatten(_content(requests[cell])) for cell in cells}
        keys = {key for values in flat.values() for key in values}
        differing = sorted(key for key in keys if len({str(values.get(key)) for values in flat.values()}) > 1)
        for cell, values in flat.items():
            settings[cell] = ", ".join(f"{key.rpartition('.')[2]}={_shorten(values.get(key))}" for key in differing)
    return settings


def _content(request: TrialRequest) -> dict[str, Any]:
    """Return everything of a request but fold, seed and shots, with recipe keys that are off."""
    left_out = {"fold", "seed", "shots"}
    return {**request.model_dump(mode="json", exclude=left_out), "recipe": request.recipe.values}


def _shorten(value: object) -> str:
    """Return a value as text, with sha256 digests cut to their first characters."""
    text = str(value)
    return text[:DIGEST_SHOWN] if re.fullmatch("[0-9a-f]{64}", text) else text


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one mapping with dotted keys; lists of mappings are numbered."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            flat.update(flatten({str(number): entry for number, entry in enumerate(value)}, f"{prefix}{key}."))
        elif isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
