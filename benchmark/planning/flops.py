"""Costs of the training steps of a grid, counted once and cached in the user's cache folder."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from benchmark.console import counting
from benchmark.errors import BenchmarkError, first_line
from benchmark.files import write_atomic
from benchmark.models.weights import default_folder
from benchmark.records.environment import CHECKPOINTING
from benchmark.records.schema import Cost
from benchmark.spec.request import TrialRequest
from benchmark.trial.code_digest import code_digest

logger = logging.getLogger(__name__)


class Counted(NamedTuple):
    """Costs of step shapes.

    Attributes:
        costs: by step key; a shape whose method does not fit its model has none.
        faults: why a model cannot be built, in one line, by step key.
    """

    costs: dict[str, Cost]
    faults: dict[str, str]


def count_costs(requests: Sequence[TrialRequest], console: Console, *, checkpointing: bool = False) -> Counted:
    """Count the cost of every step shape.

    Args:
        requests: trials with a known number of classes; those that share a step key are counted once.
        console: where progress is shown.
        checkpointing: whether activations are computed again in the backward pass.
    """
    folder = default_folder() / "costs"
    by_key = {request.step_key: request for request in requests}
    costs, faults = dict[str, Cost](), dict[str, str]()
    with counting(console) as show:
        for number, (key, request) in enumerate(by_key.items()):
            how = f"-{CHECKPOINTING}" if checkpointing else ""
            path = folder / f"{key}-{code_digest(request)}-{importlib.metadata.version('torch')}{how}.json"
            cost = _read(path)
            if cost is None:
                show("counting operations of training steps", number, len(by_key))
                cost = _count(request, path, checkpointing=checkpointing)
            if cost is not None:
                costs[key] = cost
            elif fault := _build_fault(request):
                faults[key] = fault
    return Counted(costs, faults)


def _count(request: TrialRequest, path: Path, *, checkpointing: bool) -> Cost | None:
    """Count a step and store its cost; None if the method does not fit, which its trials will report."""
    from benchmark.trial.cost import count_cost

    classes = request.classes
    try:
        cost = count_cost(request, classes, checkpointing=checkpointing)
    except Exception as error:  # whatever a method does
        logger.info("%s: its cost cannot be counted: %s", request.label, first_line(error))
        return None
    try:
        write_atomic(path, cost.model_dump_json().encode())
    except OSError as error:
        logger.warning("%s: the cost is counted again next time: %s", path, error)
    return cost


def _build_fault(request: TrialRequest) -> str | None:
    """Return why a trial's model cannot be built, in one line; None if it can, and only its cost is unknown."""
    from benchmark.trial.build import abstract_model

    try:
        abstract_model(request, request.classes)
    except Exception as error:  # whatever a method does
        return fault_line(request, error)
    return None


def fault_line(request: TrialRequest, error: Exception) -> str:
    """Return in one line why a trial's model cannot be built."""
    if isinstance(error, BenchmarkError):
        return str(error).splitlines()[0]
    return f"method '{request.method.variant}': {first_line(error)}"


def _read(path: Path) -> Cost | None:
    with contextlib.suppress(OSError, ValueError):
        return Cost.model_validate_json(path.read_bytes())
    return None
