"""Time and memory of training steps at a grid's true shapes, with random weights and random input."""

from __future__ import annotations

import itertools
import multiprocessing
import resource
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import torch

from benchmark.data.loader import Batch
from benchmark.methods.registry import resolve_methods
from benchmark.records.environment import capture, utc_now
from benchmark.records.schema import StepProfile
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model, count_parameters
from benchmark.trial.cost import count_cost
from benchmark.trial.fingerprint import code_fingerprint
from benchmark.trial.train_step import Precision, Trainer, device_name

WARM_UP = 2
SHORT_FRAMES = 128


@dataclass(frozen=True)
class How:
    """`steps` are timed after a warm-up (0: only count), fewer where they take more than `seconds` in all.

    `clips` is the size of a step, None for the recipe's batch size. `identity` names methods for which it is computed
    how far they change a model's output at initialisation, on the dataset with the shortest clips.
    """

    device: str
    threads: int
    steps: int
    seconds: float
    clips: int | None = None
    identity: tuple[str, ...] = ()


def shapes(requests: Sequence[TrialRequest]) -> list[TrialRequest]:
    """One request of each step shape, in the order given."""
    return list({request.step_key: request for request in reversed(requests)}.values())[::-1]


def profile_steps(requests: Sequence[TrialRequest], classes: Mapping[str, int], how: How) -> Iterator[StepProfile]:
    """Profile each request's step in a process of its own, so that none finds memory that another left.

    `classes` are numbers of outputs by dataset.

    Raises:
        BenchmarkError: a method that does not fit the model.
    """
    for request in requests:
        outputs = classes[request.dataset.name]
        if not how.steps:
            yield profile_step(request, outputs, how)
            continue
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            try:
                yield pool.submit(profile_step, request, outputs, how).result()
            except BrokenProcessPool:
                yield _profile(request, outputs, how, status="out_of_memory", error="its process was killed")


def profile_step(request: TrialRequest, classes: int, how: How) -> StepProfile:
    """Count a step, and time it in this process."""
    if not how.steps:
        short = request.recipe.frames <= SHORT_FRAMES and request.method.variant in how.identity
        error = identity_error(request, classes) if short else None
        return _profile(request, classes, how, status="counted", identity_error=error)
    try:
        return _profile(request, classes, how, status="measured", **_measure(request, classes, how))
    except (MemoryError, torch.OutOfMemoryError) as error:
        return _profile(request, classes, how, status="out_of_memory", error=str(error).splitlines()[0])
    except RuntimeError as error:
        traceback.print_exc()
        return _profile(request, classes, how, status="failed", error=str(error).splitlines()[0])


def _profile(request: TrialRequest, classes: int, how: How, **found: Any) -> StepProfile:
    device = torch.device(how.device)
    environment, environment_hash = capture(
        device=device_name(device), cuda=torch.version.cuda if device.type == "cuda" else None, threads=how.threads
    )
    return StepProfile(
        **{"steps": 0, **found},
        request=request,
        cost=count_cost(request, classes),
        parameters=count_parameters(request, classes),
        clips=how.clips or request.recipe.batch_size,
        device=device_name(device),
        threads=how.threads,
        precision=Precision(device, request.recipe.precision).name,
        environment=environment,
        environment_hash=environment_hash,
        fingerprint=code_fingerprint(request),
        finished=utc_now(),
    )


def _measure(request: TrialRequest, classes: int, how: How) -> dict[str, Any]:
    torch.set_num_threads(how.threads)
    device = torch.device(how.device)
    untrained = _untrained(request)
    built = build_model(untrained, classes)
    trainer = Trainer(built.model.to(device), untrained, device, built.groups)
    batch = _batch(untrained, classes, how.clips or untrained.recipe.batch_size, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    training = _times(trainer.train, batch, how)
    memory: dict[str, Any] = {"host_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if device.type == "cuda":
        memory["gpu_allocated_bytes"] = torch.cuda.max_memory_allocated(device)
        memory["gpu_reserved_bytes"] = torch.cuda.max_memory_reserved(device)
    evaluation = _times(trainer.predict, batch, how)
    quartiles = statistics.quantiles(training, n=4) if len(training) > 1 else [training[0]] * 3
    return {
        "steps": len(training),
        "step_seconds": statistics.median(training),
        "step_seconds_spread": (quartiles[0], quartiles[2]),
        "eval_seconds": statistics.median(evaluation),
        **memory,
    }


def identity_error(request: TrialRequest, classes: int) -> float:
    """Largest change of a logit by the request's method before any training, on a random backbone and random input."""
    untrained = _untrained(request)
    bare = TrialRequest.model_validate({**untrained.model_dump(), "method": resolve_methods("linear", "")[0].choice()})
    features, _, _ = _batch(untrained, classes, 2, torch.device("cpu"))
    with torch.inference_mode():
        logits = [build_model(each, classes).model.eval()(features) for each in (untrained, bare)]
    return float((logits[0] - logits[1]).abs().max())


def _untrained(request: TrialRequest) -> TrialRequest:
    backbone = request.backbone.model_copy(update={"weights": "random:0", "sha256": None})
    return TrialRequest.model_validate({**request.model_dump(), "backbone": backbone.model_dump()})


def _batch(request: TrialRequest, classes: int, clips: int, device: torch.device) -> Batch:
    recipe, generator = request.recipe, torch.Generator().manual_seed(0)
    features = torch.randn(clips, recipe.frames, recipe.mels, generator=generator)
    labels = torch.randint(classes, (clips,), generator=generator)
    targets = torch.nn.functional.one_hot(labels, classes).float()
    return features.to(device), targets.to(device), torch.ones(clips, classes, device=device)


def _times(run: Callable[[Iterator[Batch]], object], batch: Batch, how: How) -> list[float]:
    """Seconds of each step after the warm-up; the loop asks for the next batch when it is done with one."""
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

    run(batches())
    steps = [after - before for before, after in itertools.pairwise(moments)]
    if not steps:
        raise RuntimeError("the loss is not finite")
    return steps[WARM_UP:] or steps[-1:]
