"""Costs of the steps of a grid, counted once and kept in the user's cache."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from benchmark.console import counting
from benchmark.data.dataset_info import DatasetInfo
from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.models.weights import default_folder
from benchmark.records.schema import Cost
from benchmark.spec.request import TrialRequest
from benchmark.trial.fingerprint import code_fingerprint


def count_costs(requests: Sequence[TrialRequest], info: Mapping[str, DatasetInfo], console: Console) -> dict[str, Cost]:
    """Cost by step key; a method that does not fit its model has none, as its trials will say.

    Args:
        requests: trials; those of one shape are counted once.
        info: by dataset.
        console: for progress.
    """
    folder = default_folder() / "costs"
    todo = {request.step_key: request for request in requests}
    costs = {}
    with counting(console) as show:
        for number, (key, request) in enumerate(todo.items()):
            path = folder / f"{key}-{code_fingerprint(request)}-{importlib.metadata.version('torch')}.json"
            cost = _read(path)
            if cost is None:
                from benchmark.trial.cost import count_cost

                show("counting what the steps cost", number, len(todo))
                with contextlib.suppress(BenchmarkError):
                    cost = count_cost(request, len(info[request.dataset.name].classes))
                    with contextlib.suppress(OSError):
                        write_atomic(path, cost.model_dump_json().encode())
            if cost is not None:
                costs[key] = cost
    return costs


def _read(path: Path) -> Cost | None:
    with contextlib.suppress(OSError, ValueError):
        return Cost.model_validate_json(path.read_bytes())
    return None
