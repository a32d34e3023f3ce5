"""The whole model as an ONNX file, compared with torch."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import BenchmarkError, first_line
from benchmark.models.transformer import AudioTransformer
from benchmark.tools.export.card import Merged
from benchmark.trial.adapter_file import Normalisation

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
TOLERANCE = 1e-4  # largest difference of a logit; multiplied by the largest logit if that is above 1
BATCHES = (1, 2, 5)  # sizes of the batches that are compared
logger = logging.getLogger(__name__)


def check_packages() -> None:
    """Check that the packages for ONNX are installed.

    Raises:
        BenchmarkError: names the missing ones.
    """
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise BenchmarkError(f"--onnx needs {', '.join(missing)}: pip install -e '.[export]'")


def write_onnx(model: AudioTransformer, normalisation: Normalisation, path: Path, name: str) -> Merged:
    """Write a model as ONNX for any batch size, and compare its logits with torch.

    Args:
        model: the whole model.
        normalisation: level of its input.
        path: the file to write.
        name: of the method, for messages.

    Raises:
        BenchmarkError: the model cannot be exported, or a logit differs by more than the tolerance.
    """
    opset = _export(model, path, name)
    run, largest, tolerance, clips = open_session(path), 0.0, TOLERANCE, 0
    for features in _inputs(model, normalisation):
        with torch.inference_mode():
            expected = model(features)
        largest = max(largest, float((run(features) - expected).abs().max()))
        tolerance = max(tolerance, TOLERANCE * float(expected.abs().max()))
        clips += len(features)
    logger.info("%s: largest difference of a logit %.1e, tolerance %.1e", path, largest, tolerance)
    if not largest <= tolerance:  # a difference that is not a number is refused too
        raise BenchmarkError(
            f"{name}: ONNX Runtime differs from torch by {largest:.1e}, more than {tolerance:.1e}; nothing was written"
        )
    return Merged(bytes=path.stat().st_size, opset=opset, largest_error=largest, tolerance=tolerance, inputs=clips)


def open_session(path: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function (B, frames, mels) -> (B, classes) logits in ONNX Runtime, on one CPU thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(features: torch.Tensor) -> torch.Tensor:
        [logits] = session.run(["logits"], {"spectrogram": features.numpy()})
        return torch.from_numpy(logits)

    return run


def _export(model: AudioTransformer, path: Path, name: str) -> int:
    """Write the file; returns its opset."""
    example = torch.zeros(2, model.config.frames, model.config.mels)
    try:
        with _quiet(), torch.no_grad():
            program: Any = torch.onnx.export(
                model,
                (example,),
                dynamo=True,
                verbose=False,
                input_names=["spectrogram"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
            for node in program.model.graph.all_nodes():
                node.metadata_props.clear()  # stack traces with paths of this machine, a fifth of a small file
            program.save(path, external_data=False)
    except Exception as error:  # the exporter and torch.export raise many kinds of errors for unknown operations
        raise BenchmarkError(f"{name}: cannot be exported to ONNX: {first_line(error)}") from None
    return int(program.model.opset_imports[""])


def _inputs(model: AudioTransformer, level: Normalisation) -> Iterator[torch.Tensor]:
    """Yield (B, frames, mels) at the level of normalised clips: full clips, and clips whose second half is padding."""
    generator = torch.Generator().manual_seed(0)
    for clips in BATCHES:
        features = torch.randn(clips, model.config.frames, model.config.mels, generator=generator) / 2
        yield features
        padded = features.clone()
        padded[:, model.config.frames // 2 :] = (level.fill - level.mean) / (2 * level.std)
        yield padded


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress what the exporter prints, logs and warns about; its errors are exceptions."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
