"""Time of one clip on one CPU thread."""

from __future__ import annotations

import importlib.metadata
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmark.data.parallel import torch_threads
from benchmark.tools.export.card import Latency
from benchmark.tools.export.onnx_file import example_input, open_session
from benchmark.tools.export.trained import TrainedModel

WARM_UP, REPEATS, SECONDS = 3, 50, 20.0


def measure_latency(trained: TrainedModel, onnx: Path | None, *, with_front_end: bool) -> list[Latency]:
    """Time one clip in torch from its filter bank on, and in ONNX Runtime from the file's input on.

    Args:
        trained: the whole model.
        onnx: the ONNX file; None if there is none.
        with_front_end: whether the file begins with waveforms.
    """
    clip = example_input(trained, 1, with_front_end=False)
    measured = [_time(f"torch {torch.__version__}", trained, clip)]
    if onnx is not None:
        name = f"onnxruntime {importlib.metadata.version('onnxruntime')}{' with front end' if with_front_end else ''}"
        given = example_input(trained, 1, with_front_end=with_front_end)
        measured.append(_time(name, open_session(onnx), given))
    return measured


def _time(runtime: str, run: Callable[[torch.Tensor], object], clip: torch.Tensor) -> Latency:
    """Time a clip on one thread: `REPEATS` times, or fewer if that takes more than `SECONDS`."""
    times = list[float]()
    with torch_threads(1), torch.inference_mode():
        for _ in range(WARM_UP):
            run(clip)
        until = time.perf_counter() + SECONDS
        while len(times) < REPEATS and (len(times) < 2 or time.perf_counter() < until):
            began = time.perf_counter()
            run(clip)
            times.append(1e3 * (time.perf_counter() - began))
    low, middle, high = statistics.quantiles(times, n=4)
    return Latency(runtime=runtime, median=middle, quartiles=(low, high), repeats=len(times))
