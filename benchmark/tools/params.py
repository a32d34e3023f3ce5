"""Parameter counts of the trials of a grid, without weights or data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from benchmark.spec.request import TrialRequest
from benchmark.trial.build import count_parameters

COLUMNS = {
    "backbone": "backbone",
    "dataset": "dataset",
    "input_tdim": "filter-bank frames",
    "n_class": "outputs of the head",
    "method": "method",
    "trainable_incl_deit_heads": "trained parameters, as the reference counts: `full` includes two unused heads",
    "total_incl_deit_heads": "all parameters, as the reference counts: including the two unused heads",
    "trainable_excl_deit_heads": "trained parameters of the model that is run",
    "total_excl_deit_heads": "all parameters of the model that is run",
    "pct_trainable_of_total_incl": "trained share in per cent, as the reference counts",
    "pct_trainable_of_total_excl": "trained share in per cent, of the model that is run",
}


def parameter_rows(requests: Iterable[TrialRequest]) -> Iterator[dict[str, Any]]:
    """Yield one row per backbone, dataset and method, with the columns in `COLUMNS`, in the order of the requests."""
    seen: set[tuple[str, str, str]] = set()
    for request in requests:
        key = (request.backbone.variant, request.dataset.name, request.method.variant)
        if key in seen:
            continue
        seen.add(key)
        counts = count_parameters(request, request.classes)
        yield {
            "backbone": key[0],
            "dataset": key[1],
            "input_tdim": request.recipe.frames,
            "n_class": request.classes,
            "method": key[2],
            "trainable_incl_deit_heads": counts.trainable_reference,
            "total_incl_deit_heads": counts.total_reference,
            "trainable_excl_deit_heads": counts.trainable,
            "total_excl_deit_heads": counts.total,
            "pct_trainable_of_total_incl": f"{100 * counts.trainable_reference / counts.total_reference:.4f}",
            "pct_trainable_of_total_excl": f"{100 * counts.trainable / counts.total:.4f}",
        }
