"""What a trial needs of its GPU and of its machine."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.planning.sharing import Sharing
from benchmark.records.schema import Cost, StepProfile
from benchmark.spec.recipe import Recipe

MARGIN = 1.25  # the allocator reserves up to a quarter more than the tensors need
GPU_EXTRA = 2 * 2**30  # for CUDA and workspaces; at most 1.6 GiB on an H100
PROCESS_BYTES = 600 * 2**20  # interpreter and libraries that a process has alone; 530 MB, and 370 MB shared with others
CUDA_PROCESS_BYTES = 1200 * 2**20  # the same with CUDA: 1.05 GB of host memory on an H100
WORKER_BYTES = 600 * 2**20  # a data worker without its batches
FLOAT_BYTES = 4
WORKER_BATCHES = 4  # training batches in a data worker: it loads two evaluation batches of twice the size ahead


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


def need_of(cost: Cost | None, recipe: Recipe, profile: StepProfile | None = None, *, recorded: bool = False) -> Need:
    """Return the memory that a trial needs.

    Resume state is written and read as a stream: only reading it for a GPU takes memory besides the trial's own.

    Args:
        cost: counted cost of its step; None if unknown.
        recipe: its recipe.
        profile: measurement of its step with its batch size, which replaces the counted size; None if there is none.
        recorded: whether its steps are CUDA graphs, which keep the memory of training during an evaluation.
    """
    training = cost.peak_bytes if cost else 0
    evaluation = (cost.eval_peak_bytes or 0) if cost else 0
    reserved = round(MARGIN * (training + evaluation if recorded else max(training, evaluation)))
    in_training = PROCESS_BYTES + round(MARGIN * training)
    if profile and profile.gpu_reserved_bytes:
        reserved = max(profile.gpu_reserved_bytes, profile.gpu_eval_reserved_bytes or 0)
    elif profile and profile.host_rss_bytes:
        in_training = profile.host_rss_bytes
    # the checkpoint, the model and the resume state pass through the machine's memory on their way to a GPU
    passing = 2 * cost.weight_bytes + cost.stored_bytes + cost.optimizer_bytes if cost else 0
    return Need(
        gpu=reserved + GPU_EXTRA,
        beside_gpu=CUDA_PROCESS_BYTES + passing,
        worker=WORKER_BYTES + WORKER_BATCHES * recipe.batch_size * recipe.frames * recipe.mels * FLOAT_BYTES,
        cpu=max(in_training, PROCESS_BYTES + round(MARGIN * evaluation)),
    )
