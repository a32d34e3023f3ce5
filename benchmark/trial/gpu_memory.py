"""GPU memory that a trial needs, and what its share leaves besides."""

from __future__ import annotations

from benchmark.records.schema import Cost
from benchmark.trial.evaluation_plan import KEPT_BYTES

MARGIN = 1.25  # the allocator reserves up to a quarter more than the tensors need
GPU_EXTRA = 2 * 2**30  # for CUDA and workspaces; at most 1.6 GiB on an H100


def reserved_bytes(cost: Cost | None, *, recorded: bool) -> int:
    """Return the memory that the allocator reserves for training and evaluation; 0 if the cost is unknown.

    Args:
        cost: counted cost of a step; None if unknown.
        recorded: whether steps are CUDA graphs, which keep the memory of training during an evaluation.
    """
    if cost is None:
        return 0
    training, evaluation = cost.peak_bytes, cost.eval_peak_bytes or 0
    return round(MARGIN * (training + evaluation if recorded else max(training, evaluation)))


def room_for_banks(share: float, total: int, free: int, cost: Cost | None, *, recorded: bool) -> int:
    """Return the bytes of a GPU that neither the trial's training and evaluation nor its neighbours need.

    Args:
        share: the trial's part of the GPU, 0 to 1.
        total: bytes of the GPU's memory.
        free: bytes that nothing uses now.
        cost: counted cost of a step; None if unknown, which leaves no room.
        recorded: as in `reserved_bytes`.
    """
    kept = KEPT_BYTES["cuda"] if cost and cost.frozen_bytes else 0  # outputs of the frozen part, which evaluation keeps
    return max(0, spare_bytes(share, total, free, cost, recorded=recorded) - kept)


def spare_bytes(share: float, total: int, free: int, cost: Cost | None, *, recorded: bool) -> int:
    """Return the bytes that a trial's training and evaluation leave of its share; see `room_for_banks`."""
    if cost is None or cost.eval_peak_bytes is None:
        return 0
    return max(0, int(min(share * total, free)) - reserved_bytes(cost, recorded=recorded) - GPU_EXTRA)
