"""Child process of `measure_sharing`: build a step, then train for as long as each command on stdin says."""

from __future__ import annotations

import math
import pickle
import sys
import time
import traceback
from collections.abc import Iterator

import torch

from benchmark.data.loader import Batch
from benchmark.errors import BenchmarkError, first_line
from benchmark.trial.device import is_out_of_memory
from benchmark.trial.outside import load_places
from benchmark.trial.profile_child import answering
from benchmark.trial.profile_sharing import Burst, Fault, SharedStep
from benchmark.trial.random_step import random_step
from benchmark.trial.train_step import Trainer

WARM_UP = 3


def main() -> None:
    """Answer how training is compiled, then the clips per second of every burst, until stdin ends."""
    with answering() as answer:
        try:
            step: SharedStep = pickle.load(sys.stdin.buffer)
            load_places(step.outside)
            how = step.how
            torch.set_num_threads(how.cores)
            trainer, batch = random_step(
                step.request, torch.device(how.device), compiled=how.compiled, checkpointing=how.checkpointing
            )
            trainer.train([batch] * WARM_UP)
            answer(trainer.forward.name)
            while True:
                burst: Burst = pickle.load(sys.stdin.buffer)
                torch.set_num_threads(burst.threads)
                answer(clips_per_second(trainer, batch, burst.seconds))
        except EOFError:
            return
        except Exception as error:  # whatever a method does
            if not isinstance(error, BenchmarkError) and not is_out_of_memory(error):
                traceback.print_exc()
            answer(
                Fault(str(error) if isinstance(error, BenchmarkError) else first_line(error), is_out_of_memory(error))
            )


def clips_per_second(trainer: Trainer, batch: Batch, seconds: float) -> float:
    """Train on one batch again and again for some seconds, at least once; return the clips per second.

    Raises:
        BenchmarkError: the loss is not finite.
    """
    steps, began = 0, time.perf_counter()

    def batches() -> Iterator[Batch]:
        nonlocal steps
        while not steps or time.perf_counter() < began + seconds:
            steps += 1
            yield batch

    loss = trainer.train(batches())
    if batch[0].is_cuda:
        torch.cuda.synchronize()
    if not math.isfinite(loss):
        raise BenchmarkError("the loss is not finite")
    return steps * len(batch[0]) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
