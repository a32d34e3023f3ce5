"""Costs of the training steps of a grid, counted once and cached in the user's cache folder."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from benchmark.console import counting
from benchmark.data.parallel import in_order, usable_cores
from benchmark.errors import BenchmarkError, first_line
from benchmark.files import write_atomic
from benchmark.models.weights import default_folder
from benchmark.places import line_of_error, place_of_error
from benchmark.records.environment import CHECKPOINTING
from benchmark.records.schema import Cost
from benchmark.spec.request import TrialRequest
from benchmark.trial.code_digest import code_digest
from benchmark.trial.outside import load_places, outside_places

SHAPES_PER_PROCESS = 12  # counting this many takes longer than starting a process

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
    how = f"-{CHECKPOINTING}" if checkpointing else ""
    version = importlib.metadata.version("torch")
    paths = {key: folder / f"{key}-{code_digest(request)}-{version}{how}.json" for key, request in by_key.items()}
    found = {key: _read(path) for key, path in paths.items()}
    costs = {key: cost for key, cost in found.items() if cost is not None}
    faults = dict[str, str]()
    lacking = [key for key in by_key if key not in costs]
    counted = _count_all([by_key[key] for key in lacking], checkpointing=checkpointing)
    with counting(console) as show:
        for number, (key, result) in enumerate(zip(lacking, counted, strict=True)):
            show("counting operations of training steps", number + 1, len(lacking))
            if isinstance(result, Cost):
                costs[key] = result
                _keep(result, paths[key])
            elif result is not None:
                faults[key] = result
    return Counted(costs, faults)


def _count_all(requests: Sequence[TrialRequest], *, checkpointing: bool) -> Iterator[Cost | str | None]:
    """Yield what `_count` returns for each request, in order, computed in several processes if there are many."""
    processes = min(usable_cores(), len(requests) // SHAPES_PER_PROCESS)
    places = outside_places(requests)
    count = functools.partial(_count, places=places, checkpointing=checkpointing)
    if processes > 1:
        yield from in_order(count, requests, processes, processes=True, enough=2)
    else:
        yield from map(count, requests)  # in this thread: torch's fake tensors do not bear another one


def _count(request: TrialRequest, *, places: Mapping[str, str], checkpointing: bool) -> Cost | str | None:
    """Count a step. If that fails, which its trials will report, return why, or None if its model can be built.

    Args:
        request: shape of the step.
        places: of methods and backbones from outside the suite.
        checkpointing: whether activations are computed again in the backward pass.
    """
    from benchmark.trial.cost import count_cost

    try:
        load_places(places)
        return count_cost(request, request.classes, checkpointing=checkpointing)
    except BenchmarkError as error:  # on any tensors, such as a module that returns a wrong shape
        return fault_line(request, error)
    except Exception as error:  # whatever a method does
        logger.info("%s: its cost cannot be counted: %s", request.label, first_line(error))
        return _build_fault(request)


def _keep(cost: Cost, path: Path) -> None:
    try:
        write_atomic(path, cost.model_dump_json().encode())
    except OSError as error:
        logger.warning("%s: the cost is counted again next time: %s", path, error)


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
    return line_of_error(error) if place_of_error(error) else f"method '{request.method.variant}': {first_line(error)}"


def _read(path: Path) -> Cost | None:
    with contextlib.suppress(OSError, ValueError):
        return Cost.model_validate_json(path.read_bytes())
    return None
