"""Time and memory of training steps at a grid's true shapes, with random weights and random input."""

from __future__ import annotations

import itertools
import logging
import math
import pickle
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmark.data.loader import Batch
from benchmark.methods.registry import resolve_methods
from benchmark.places import line_of_error
from benchmark.records.environment import EAGER, capture, utc_now
from benchmark.records.schema import StepProfile
from benchmark.spec.recipe import EVAL_FACTOR
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model, count_parameters
from benchmark.trial.code_digest import code_digest
from benchmark.trial.cost import count_cost
from benchmark.trial.device import device_name, is_out_of_memory
from benchmark.trial.evaluation_plan import eval_factor
from benchmark.trial.outside import outside_places
from benchmark.trial.precision import Precision
from benchmark.trial.profile_child import start_child
from benchmark.trial.random_step import random_batch, random_step, with_batch_size, with_random_weights
from benchmark.trial.train_step import Trainer

WARM_UP = 2
SHORT_FRAMES = 128

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class How:
    """How steps are profiled.

    Attributes:
        device: `cpu` or `cuda`.
        threads: CPU threads.
        steps: timed steps after a warm-up; 0 only counts operations.
        seconds: time limit of a step's measurement; fewer steps are timed when they take longer.
        clips: clips of a timed step; None for the recipe's batch size.
        compiled: whether the steps are compiled, before they are timed.
        checkpointing: whether activations are computed again in the backward pass.
        identity: methods whose change of a model's output at initialization is computed, for datasets of short clips.
    """

    device: str
    threads: int
    steps: int
    seconds: float
    clips: int | None = None
    compiled: bool = False
    checkpointing: bool = False
    identity: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """What a child process profiles.

    Attributes:
        request: the step.
        how: how to profile it.
        outside: places of methods and backbones from outside the suite.
    """

    request: TrialRequest
    how: How
    outside: Mapping[str, str]


def shapes(requests: Sequence[TrialRequest]) -> list[TrialRequest]:
    """Return the first request of each step shape, in the order given."""
    return list({request.step_key: request for request in reversed(requests)}.values())[::-1]


def profile_steps(requests: Sequence[TrialRequest], how: How) -> Iterator[StepProfile]:
    """Yield the profile of each request's step, in order; `shapes` leaves out requests of the same step.

    Each timed step runs in its own process, so that no memory of an earlier step is counted. Nothing is stored.

    Raises:
        BenchmarkError: a method does not fit the model.
    """
    for request in requests:
        yield _profile_in_child(request, how) if how.steps else profile_step(request, how)


def _profile_in_child(request: TrialRequest, how: How) -> StepProfile:
    """Profile a step in a new process; a process that was killed counts as out of memory."""
    with start_child("benchmark.trial.profile_worker") as child:
        try:
            content, _ = child.communicate(pickle.dumps(Job(request, how, outside_places([request]))))
        except BaseException:  # Ctrl-C, too
            child.kill()
            raise
    if child.returncode < 0:
        logger.info("%s: its process was killed by signal %d", request.label, -child.returncode)
        return _profile(request, how, status="out_of_memory", error="its process was killed")
    if child.returncode:
        raise RuntimeError(f"{request.label}: the process that profiles it ended with code {child.returncode}")
    answer = pickle.loads(content)
    if isinstance(answer, Exception):
        raise answer
    assert isinstance(answer, StepProfile)
    return answer


def profile_step(request: TrialRequest, how: How) -> StepProfile:
    """Count a step, and time it in this process.

    Raises:
        BenchmarkError: the method does not fit the model.
    """
    if not how.steps:
        short = request.recipe.frames <= SHORT_FRAMES and request.method.variant in how.identity
        return _profile(request, how, status="counted", identity_error=identity_error(request) if short else None)
    try:
        return _profile(request, how, status="measured", **_measure(request, how))
    except (MemoryError, RuntimeError) as error:
        line = line_of_error(error)
        if is_out_of_memory(error):
            return _profile(request, how, status="out_of_memory", error=line)
        traceback.print_exc()
        return _profile(request, how, status="failed", error=line)


def _profile(request: TrialRequest, how: How, compilation: str = EAGER, **found: Any) -> StepProfile:
    return StepProfile(
        **{"steps": 0, **found},
        **provenance(request, how.device, how.threads, compilation, checkpointing=how.checkpointing),
        cost=count_cost(request, request.classes, checkpointing=how.checkpointing),
        parameters=count_parameters(request, request.classes),
        clips=how.clips or request.recipe.batch_size,
    )


def provenance(
    request: TrialRequest, device_kind: str, threads: int, compilation: str, *, checkpointing: bool
) -> dict[str, Any]:
    """Return the fields that every profile has: which step ran, where and how, and when it ended.

    Args:
        request: the step.
        device_kind: `cpu` or `cuda`.
        threads: CPU threads, of all processes together.
        compilation: how training was compiled.
        checkpointing: whether activations were computed again in the backward pass.
    """
    device = torch.device(device_kind)
    environment, environment_hash = capture(
        device=device_name(device),
        cuda=torch.version.cuda if device.type == "cuda" else None,
        threads=threads,
        compilation=compilation,
        checkpointing=checkpointing,
    )
    return {
        "request": request,
        "device": device_name(device),
        "threads": threads,
        "precision": Precision(device, request.recipe.precision).name,
        "environment": environment,
        "environment_hash": environment_hash,
        "fingerprint": code_digest(request),
        "finished": utc_now(),
    }


def _measure(request: TrialRequest, how: How) -> dict[str, Any]:
    torch.set_num_threads(how.threads)
    device = torch.device(how.device)
    # what is compiled is compiled for the size of the timed batch
    timed = with_batch_size(request, how.clips)
    trainer, batch = random_step(timed, device, compiled=how.compiled, checkpointing=how.checkpointing)
    training = _step_seconds(trainer.train, batch, how)
    evaluation = _step_seconds(trainer.predict, batch, how)
    quartiles = statistics.quantiles(training, n=4) if len(training) > 1 else [training[0]] * 3
    return {
        "compilation": trainer.forward.name,
        "steps": len(training),
        "step_seconds": statistics.median(training),
        "step_seconds_spread": (quartiles[0], quartiles[2]),
        "eval_seconds": statistics.median(evaluation),
        **_memory(trainer, batch, timed, how),
    }


def _memory(trainer: Trainer, batch: Batch, request: TrialRequest, how: How) -> dict[str, int | None]:
    """Return the peaks of a trainer after its steps; on a GPU, also of an evaluation as large as a trial's."""
    assert trainer.memory.training is not None
    memory = {
        "gpu_allocated_bytes": trainer.memory.training.allocated,
        "gpu_reserved_bytes": trainer.memory.training.reserved,
        "host_rss_bytes": trainer.memory.training.host,
    }
    if batch[0].is_cuda:
        cost = count_cost(request, request.classes, checkpointing=how.checkpointing)
        factor = EVAL_FACTOR if how.compiled else eval_factor(cost)
        features, targets, observed = (torch.cat([tensor] * factor) for tensor in batch)
        trainer.predict([(features, targets, observed)])
        assert trainer.memory.evaluation is not None
        memory["gpu_eval_allocated_bytes"] = trainer.memory.evaluation.allocated
        memory["gpu_eval_reserved_bytes"] = trainer.memory.evaluation.reserved
    return memory


def identity_error(request: TrialRequest) -> float:
    """Return the largest change of a logit by the request's method before any training.

    The backbone and the input are random.
    """
    adapted = with_random_weights(request)
    bare = TrialRequest.model_validate({**adapted.model_dump(), "method": resolve_methods("linear", "")[0].choice()})
    features, _, _ = random_batch(adapted, 2, torch.device("cpu"))
    with torch.inference_mode():
        logits = [build_model(one, request.classes).model.eval()(features) for one in (adapted, bare)]
    return float((logits[0] - logits[1]).abs().max())


def _step_seconds(run: Callable[[Iterator[Batch]], object], batch: Batch, how: How) -> list[float]:
    """Return the seconds of each step after the warm-up.

    The loop asks for the next batch when it has finished one, so that the times of these requests are the steps' ends.
    """
    moments: list[float] = []

    def now() -> float:
        if batch[0].is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def batches() -> Iterator[Batch]:
        until = now() + how.seconds
        for _ in range(WARM_UP + how.steps):
            moments.append(now())
            yield batch
            if now() > until:
                break
        moments.append(now())

    result = run(batches())
    if isinstance(result, float) and not math.isfinite(result):
        raise RuntimeError("the loss is not finite")
    steps = [after - before for before, after in itertools.pairwise(moments)]
    return steps[WARM_UP:] or steps[-1:]
