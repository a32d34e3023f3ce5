"""Time of one clip on one CPU thread."""

from __future__ import annotations

import importlib.metadata
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmark.data.parallel import torch_threads
from benchmark.models.transformer import AudioTransformer
from benchmark.tools.export.card import Latency
from benchmark.tools.export.merged import open_session

WARM_UP, REPEATS, SECONDS = 3, 50, 20.0


def measure_latency(model: AudioTransformer, onnx: Path | None) -> list[Latency]:
    """Time one clip in torch, and in ONNX Runtime if there is a file.

    Args:
        model: the whole model.
        onnx: the ONNX file; None if there is none.
    """
    clip = torch.randn(1, model.config.frames, model.config.mels, generator=torch.Generator().manual_seed(0)) / 2
    measured = [_time(f"torch {torch.__version__}", model, clip)]
    if onnx is not None:
        name = f"onnxruntime {importlib.metadata.version('onnxruntime')}"
        measured.append(_time(name, open_session(onnx), clip))
    return measured


def _time(runtime: str, run: Callable[[torch.Tensor], torch.Tensor], clip: torch.Tensor) -> Latency:
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
