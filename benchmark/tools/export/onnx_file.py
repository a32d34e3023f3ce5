"""The whole model as an ONNX file, from filter banks or from waveforms on, compared with torch."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torchaudio.compliance import kaldi

from benchmark.commands import install
from benchmark.data.frontend import HOP, WINDOW, fit
from benchmark.errors import BenchmarkError, first_line
from benchmark.tools.export.card import Merged
from benchmark.tools.export.front_end import WaveformModel, make_front_end
from benchmark.tools.export.sample_sounds import full_and_padded, too_short
from benchmark.tools.export.trained import TrainedModel

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
TOLERANCE = 1e-4  # largest difference of a logit; multiplied by the largest logit if that is above 1
BATCHES = (1, 2, 5)  # sizes of the batches that are compared
SPECTROGRAM, WAVEFORM = "spectrogram", "waveform"  # names of inputs and outputs
KALDI: dict[str, Any] = {"htk_compat": True, "use_energy": False, "window_type": "hanning", "dither": 0.0}
Run = Callable[[torch.Tensor], list[torch.Tensor]]
logger = logging.getLogger(__name__)


def check_packages() -> None:
    """Check that the packages for ONNX are installed.

    Raises:
        BenchmarkError: names the missing ones.
    """
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise BenchmarkError(f"--onnx needs {', '.join(missing)}: {install('export')}")


def write_onnx(trained: TrainedModel, path: Path, name: str, *, with_front_end: bool) -> Merged:
    """Write a model as ONNX for any batch size, and compare it with torch.

    Args:
        trained: the whole model.
        path: the file to write.
        name: of the method, for messages.
        with_front_end: begin with waveforms instead of filter banks.

    Raises:
        BenchmarkError: the model cannot be exported, or a logit or a filter bank differs by more than the tolerance.
    """
    opset = _export(trained, path, name, with_front_end=with_front_end)
    compare = _compare_waveforms if with_front_end else _compare_features
    found = compare(trained, open_session(path))
    logger.info("%s: largest difference of a logit %.1e, tolerance %.1e", path, found.logit, found.tolerance)
    for what, error, tolerance in (
        ("torch", found.logit, found.tolerance),
        ("torchaudio's filter bank", found.bank or 0.0, TOLERANCE),
    ):
        if not error <= tolerance:  # a difference that is not a number is refused too
            raise BenchmarkError(
                f"{name}: ONNX Runtime differs from {what} by {error:.1e}, more than {tolerance:.1e}; nothing was "
                "written"
            )
    return Merged(
        bytes=path.stat().st_size,
        opset=opset,
        input=WAVEFORM if with_front_end else SPECTROGRAM,
        largest_error=found.logit,
        tolerance=found.tolerance,
        front_end_error=found.bank,
        inputs=found.clips,
    )


def open_session(path: Path) -> Callable[[torch.Tensor], list[torch.Tensor]]:
    """Return a function from the file's input to its outputs in ONNX Runtime, on one CPU thread.

    The input is (B, frames, mels) or (B, samples); the outputs are (B, classes) logits and, from waveforms on,
    (B, frames, mels) normalised filter banks.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    [given] = session.get_inputs()

    def run(value: torch.Tensor) -> list[torch.Tensor]:
        return [torch.from_numpy(output) for output in session.run(None, {given.name: value.numpy()})]

    return run


def example_input(trained: TrainedModel, clips: int, *, with_front_end: bool) -> torch.Tensor:
    """Return clips of noise that fill the input: (clips, samples) or (clips, frames, mels)."""
    config, generator = trained.model.config, torch.Generator().manual_seed(0)
    size = ((config.frames - 1) * HOP + WINDOW,) if with_front_end else (config.frames, config.mels)
    return torch.randn(clips, *size, generator=generator) / (10 if with_front_end else 2)


def tolerance_for(logits: torch.Tensor) -> float:
    """Return the largest difference of logits that is accepted."""
    return TOLERANCE * max(1.0, float(logits.abs().max()))


def larger(largest: float, difference: float) -> float:
    """Return the larger one; nan if one of them is nan, which `max` may drop."""
    return math.nan if math.isnan(largest) or math.isnan(difference) else max(largest, difference)


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress what exporters print, log and warn about; their errors are exceptions."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


class _Differences(NamedTuple):
    """Largest differences from torch.

    Attributes:
        logit: of a logit.
        tolerance: largest that is accepted.
        clips: number of clips that were compared.
        bank: of a value of a raw filter bank in log mel; None where the file has no front end.
    """

    logit: float = 0.0
    tolerance: float = 0.0
    clips: int = 0
    bank: float | None = None

    def with_logits(self, found: torch.Tensor, expected: torch.Tensor) -> _Differences:
        """Return the differences after a comparison of (B, classes) logits."""
        difference = float((found - expected).abs().max())
        return self._replace(
            logit=larger(self.logit, difference),
            tolerance=max(self.tolerance, tolerance_for(expected)),
            clips=self.clips + len(expected),
        )


def _compare_features(trained: TrainedModel, run: Run) -> _Differences:
    """Compare full clips, and clips whose second half is padding."""
    found, level = _Differences(), trained.adapter.normalisation
    for clips in BATCHES:
        features = example_input(trained, clips, with_front_end=False)
        padded = features.clone()
        padded[:, features.shape[1] // 2 :] = (level.fill - level.mean) / (2 * level.std)
        for batch in (features, padded):
            with torch.inference_mode():
                expected = trained(batch)
            found = found.with_logits(run(batch)[0], expected)
    return found


def _compare_waveforms(trained: TrainedModel, run: Run) -> _Differences:
    """Compare waveforms of several lengths: logits with torch, filter banks with torchaudio's in float64."""
    found, largest = _Differences(), 0.0
    level, config = trained.adapter.normalisation, trained.model.config
    for wave, clips in zip((*full_and_padded(config.frames), too_short()), itertools.cycle(BATCHES), strict=False):
        logits, features = run(torch.from_numpy(wave).expand(clips, -1).contiguous())
        with torch.inference_mode():
            expected = trained(trained.features(wave))
        found = found.with_logits(logits, expected.expand(clips, -1))
        if len(wave) >= WINDOW:  # Kaldi refuses less
            bank = kaldi.fbank(torch.from_numpy(wave).double().unsqueeze(0), num_mel_bins=config.mels, **KALDI)
            raw = fit(bank.unsqueeze(0), config.frames, level.fill)
            largest = larger(largest, float((features[:1] * (2 * level.std) + level.mean - raw).abs().max()))
    return found._replace(bank=largest)


def _export(trained: TrainedModel, path: Path, name: str, *, with_front_end: bool) -> int:
    """Write the file; returns its opset."""
    model: nn.Module = trained.model
    if with_front_end:
        model = WaveformModel(model, make_front_end(trained.adapter)).eval()
    free = {0: torch.export.Dim("batch"), **({1: torch.export.Dim("samples")} if with_front_end else {})}
    try:
        with quiet(), torch.no_grad():
            program: Any = torch.onnx.export(
                model,
                (example_input(trained, 2, with_front_end=with_front_end),),
                dynamo=True,
                verbose=False,
                input_names=[WAVEFORM if with_front_end else SPECTROGRAM],
                output_names=["logits", SPECTROGRAM] if with_front_end else ["logits"],
                dynamic_shapes=(free,),
            )
            for node in program.model.graph.all_nodes():
                node.metadata_props.clear()  # stack traces with paths of this machine, a fifth of a small file
            program.save(path, external_data=False)
    except Exception as error:  # the exporter and torch.export raise many kinds of errors for unknown operations
        raise BenchmarkError(f"{name}: cannot be exported to ONNX: {first_line(error)}") from None
    return int(program.model.opset_imports[""])
