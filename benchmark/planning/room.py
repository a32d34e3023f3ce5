"""Whether the disk of a results folder has room for a run."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.files import existing_folder
from benchmark.planning.estimate import Estimate
from benchmark.planning.node import node_here
from benchmark.planning.packing import pack
from benchmark.planning.total import total
from benchmark.records.store import RESUME
from benchmark.spec.options import RunOptions
from benchmark.units import data_size, plural

RECORD_BYTES = 30_000  # of a record and its log, besides predictions
SMALLEST_RECORD_BYTES = 5_000
MOST_COMPRESSED = 4  # predictions are at most this many times smaller on disk


def require_room(results: Path, estimates: Mapping[str, Estimate], options: RunOptions) -> None:
    """Check that the disk has room for what a run writes in any case: records and kept weights.

    Args:
        results: the results folder.
        estimates: estimates of the trials to run, by id.
        options: options of the run.

    Raises:
        BenchmarkError: it has not.
    """
    least = sum(estimate.record_bytes // MOST_COMPRESSED + SMALLEST_RECORD_BYTES for estimate in estimates.values())
    least += _kept_bytes(estimates, options)
    free = _free_bytes(results)
    if free < least:
        raise BenchmarkError(
            f"{results}: {data_size(free)} are free, but the records of {plural(len(estimates), 'trial')} take at "
            f"least {data_size(least)}; make room, or use another --results"
        )


def lacking_room(results: Path, estimates: Mapping[str, Estimate], options: RunOptions) -> str:
    """Return how much is free and needed if records, kept weights and the resume states of trials at once do not fit.

    Args:
        results: the results folder.
        estimates: estimates of the trials to run, by id.
        options: options of the run.

    Returns:
        One line; empty if they fit.

    Raises:
        BenchmarkError: as `pack`.
    """
    records = sum(estimate.record_bytes + RECORD_BYTES for estimate in estimates.values())
    records += _kept_bytes(estimates, options)
    resume = max(0, _resume_bytes(estimates, options) - _size(results / RESUME))  # it may hold states already
    free = _free_bytes(results)
    if free >= records + resume:
        return ""
    return (
        f"{results}: {data_size(free)} are free, but {plural(len(estimates), 'trial')} need about "
        f"{data_size(records)} for records and {data_size(resume)} for resume states"
    )


def _kept_bytes(estimates: Mapping[str, Estimate], options: RunOptions) -> int:
    """Return the disk space of the trained parameters that a run keeps."""
    if not options.keep_weights:
        return 0
    return sum(estimate.cost.stored_bytes for estimate in estimates.values() if estimate.cost)


def _free_bytes(results: Path) -> int:
    return shutil.disk_usage(existing_folder(results)).free


def _resume_bytes(estimates: Mapping[str, Estimate], options: RunOptions) -> int:
    """Return the disk space of resume states of trials at the same time."""
    if options.address is not None:  # the machines of a cluster are not known yet
        return max((estimate.checkpoint_bytes for estimate in estimates.values()), default=0)
    node, needs = node_here(), {trial_id: estimate.need for trial_id, estimate in estimates.items()}
    if options.cpus is not None:
        node = dataclasses.replace(node, cpus=min(node.cpus, options.cpus))
    shares = pack([node], needs, options.cpus_per_trial, options.gpus_per_trial, exclusive=options.exclusive)
    return total(estimates, shares, node).checkpoint_bytes


def _size(folder: Path) -> int:
    """Return the bytes of the files below a folder; another run may delete some meanwhile."""
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.stat().st_size
    return size
