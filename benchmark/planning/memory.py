"""What a trial needs of its GPU and of its machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.planning.sharing import Sharing
from benchmark.records.schema import Cost, StepProfile
from benchmark.spec.recipe import EVAL_FACTOR, Recipe
from benchmark.trial.evaluation_plan import KEPT_BYTES, eval_factor, kept_splits
from benchmark.trial.gpu_memory import GPU_EXTRA, MARGIN, reserved_bytes

PROCESS_BYTES = 600 * 2**20  # interpreter and libraries that a process has alone; 530 MB, and 370 MB shared with others
CUDA_PROCESS_BYTES = 1200 * 2**20  # the same with CUDA: 1.05 GB of host memory on an H100
WORKER_BYTES = 600 * 2**20  # a data worker without its batches
FLOAT_BYTES = 4
PINNED_ROUNDING = 2  # torch rounds pinned memory up to powers of two; the resume state is copied to it
WORKER_BATCHES = 2  # evaluation batches in a data worker: it loads two ahead


@dataclass(frozen=True)
class Need:
    """Bytes of memory that a trial needs, on a GPU and on a CPU, and what it gains by sharing a GPU.

    Attributes:
        gpu: GPU memory of a trial on a GPU.
        beside_gpu: host memory of a trial on a GPU, without its data workers.
        worker: host memory of each data worker.
        cpu: host memory of a trial on a CPU.
        sharing: measured throughput of such trials on one GPU; None if it was not measured.
    """

    gpu: int = 0
    beside_gpu: int = 0
    worker: int = 0
    cpu: int = 0
    sharing: Sharing | None = None


def need_of(
    cost: Cost | None,
    recipe: Recipe,
    profile: StepProfile | None = None,
    *,
    recorded: bool = False,
    evaluated: Mapping[str, int] | None = None,
) -> Need:
    """Return the memory that a trial needs.

    Resume state is written and read as a stream: only a GPU's state takes memory besides the trial's own.

    Args:
        cost: counted cost of its step; None if unknown.
        recipe: its recipe.
        profile: measurement of its step with its batch size, which replaces the counted size; None if there is none.
        recorded: whether its steps are CUDA graphs, which keep the memory of training during an evaluation.
        evaluated: clips of the splits that are evaluated more than once, in their order; None if unknown.
    """
    training = cost.peak_bytes if cost else 0
    evaluation = (cost.eval_peak_bytes or 0) if cost else 0
    reserved = reserved_bytes(cost, recorded=recorded)
    in_training = PROCESS_BYTES + round(MARGIN * training)
    if profile and profile.gpu_reserved_bytes:
        reserved = max(profile.gpu_reserved_bytes, profile.gpu_eval_reserved_bytes or 0)
    elif profile and profile.host_rss_bytes:
        in_training = profile.host_rss_bytes
    together = recipe.batch_size * (EVAL_FACTOR if recorded or not cost else eval_factor(cost))
    # the checkpoint, the model and the resume state pass through the machine's memory on their way to a GPU
    passing = 2 * cost.weight_bytes + cost.stored_bytes + cost.optimizer_bytes if cost else 0
    copied = PINNED_ROUNDING * (cost.stored_bytes + cost.optimizer_bytes) if cost else 0
    kept = {device: _kept_bytes(cost, evaluated, limit) for device, limit in KEPT_BYTES.items()}
    return Need(
        gpu=reserved + kept["cuda"] + GPU_EXTRA,
        beside_gpu=CUDA_PROCESS_BYTES + max(passing, copied),
        worker=WORKER_BYTES + WORKER_BATCHES * together * recipe.frames * recipe.mels * FLOAT_BYTES,
        cpu=max(in_training, PROCESS_BYTES + round(MARGIN * evaluation)) + kept["cpu"],
    )


def _kept_bytes(cost: Cost | None, evaluated: Mapping[str, int] | None, limit: int) -> int:
    """Return the size of what evaluation keeps of a frozen part; where the clips are unknown, the limit."""
    per_clip = (cost.frozen_bytes or 0) if cost else 0
    if evaluated is None:
        return limit if per_clip else 0
    return per_clip * sum(evaluated[split] for split in kept_splits(evaluated, per_clip, limit))
