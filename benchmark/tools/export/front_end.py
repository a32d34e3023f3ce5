"""The front end of an exported model to the number, and as a torch module that ONNX can express."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from benchmark.data.audio import RATE
from benchmark.data.frontend import FFT, HIGH_HZ, HOP, LOW_HZ, PREEMPHASIS, WINDOW, FrontEnd, mel_weights
from benchmark.spec.yaml import Spec
from benchmark.trial.adapter_file import AdapterFile

BLOCK = math.gcd(WINDOW, HOP)  # samples
CUT = "only the first `frames` frames are used"
AVERAGED = (
    "ceil(n / frames) windows of `frames` frames at equal distances from the beginning to the end; logits are averaged"
)
FLOOR = torch.finfo(torch.float32).eps


class FrontEndCard(Spec):
    """From a sound to the model's input: Kaldi's log-mel filter bank, as AST computes it."""

    sample_rate: int = Field(default=RATE, description="in Hz; other rates are resampled")
    resampler: str = Field(default="soxr HQ", description="library and quality")
    channels: str = Field(default="mean", description="how several channels become one")
    amplitude: str = Field(default="[-1, 1]", description="range of the samples")
    offset: str = Field(default="the mean of the whole recording is subtracted", description="before the windows")
    window: str = Field(default="hann, symmetric", description="shape of the windows")
    window_samples: int = Field(default=WINDOW, description="length of a window")
    hop_samples: int = Field(default=HOP, description="distance of two windows")
    fft_samples: int = Field(default=FFT, description="length of the Fourier transform; windows are padded with zeros")
    remove_dc_offset: bool = Field(default=True, description="whether the mean of each window is subtracted")
    preemphasis: float = Field(default=PREEMPHASIS, description="after the subtraction: x[t] - preemphasis * x[t - 1]")
    dither: float = Field(default=0.0, description="standard deviation of added noise")
    spectrum: str = Field(default="power", description="what the mel bands sum")
    mel_bands: int = Field(description="number of bands")
    mel_scale: str = Field(default="1127 * ln(1 + f / 700)", description="triangles are equal on it, with peaks of 1")
    low_hz: float = Field(default=LOW_HZ, description="lower end of the lowest band")
    high_hz: float = Field(default=HIGH_HZ, description="upper end of the highest band")
    logarithm: str = Field(default="natural", description="of the energy of a band")
    energy_floor: float = Field(default=FLOOR, description="smallest energy of a band")
    frames: int = Field(description="length of the input; 1 + (samples - window) // hop frames fill it")
    longer: str = Field(description="longer recordings")
    padding: float = Field(description="value of missing frames, before the normalisation")
    shorter_than_a_window: str = Field(default="zeros are appended, one frame", description="very short recordings")
    mean: float = Field(description="subtracted")
    std: float = Field(description="the result is divided by 2 * std")


def describe(adapter: AdapterFile) -> FrontEndCard:
    """Return the front end of a trained model."""
    level, recipe = adapter.normalisation, adapter.request.recipe
    return FrontEndCard(
        mel_bands=recipe.mels,
        frames=recipe.frames,
        longer=CUT if recipe.windows == "first" else AVERAGED,
        padding=level.fill,
        mean=level.mean,
        std=level.std,
    )


def make_front_end(adapter: AdapterFile) -> FrontEnd:
    """Return the front end of a trained model, without augmentation."""
    level, recipe = adapter.normalisation, adapter.request.recipe
    return FrontEnd(
        recipe.mels, recipe.frames, level.mean, level.std, freq_mask=0, time_mask=0, fill=level.fill, noise=False
    )


class WaveformModel(nn.Module):
    """A model with its front end before it, in operations that ONNX has; it computes filter banks in float64.

    ONNX Runtime has no Fourier transform of this form that is as exact, so that a matrix product computes it.

    Args:
        model: (B, frames, mels) -> (B, classes).
        front_end: what comes before.
    """

    window: torch.Tensor
    basis: torch.Tensor
    weights: torch.Tensor

    def __init__(self, model: nn.Module, front_end: FrontEnd) -> None:
        super().__init__()
        self.model = model
        self.front_end = front_end
        self.samples = (front_end.frames - 1) * HOP + WINDOW  # that all frames together cover
        angles = torch.outer(torch.arange(WINDOW), torch.arange(FFT // 2)).double() * (2 * math.pi / FFT)
        tensors = {
            "window": torch.hann_window(WINDOW, periodic=False, dtype=torch.float64),
            "basis": torch.cat([angles.cos(), angles.sin()], dim=1),  # (400, 512): real parts, imaginary parts
            "weights": mel_weights(front_end.mels)[: FFT // 2].double(),  # the Nyquist bin has no weight
        }
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, waveform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, samples) at 16 kHz, of equal length -> (B, classes) logits and (B, frames, mels) normalised input."""
        features = self.features(waveform)
        return self.model(features), features

    def features(self, waveform: torch.Tensor) -> torch.Tensor:
        """(B, samples) -> (B, frames, mels) normalised filter banks."""
        end = self.front_end
        waves = waveform.double()
        waves = functional.pad(waves - waves.mean(1, keepdim=True), (0, self.samples))[:, : self.samples]
        there = functional.pad(torch.ones_like(waveform), (0, self.samples))[:, : self.samples]
        inside = there[:, WINDOW - 1 :: HOP].unsqueeze(2) > 0  # the last sample of the frame exists
        inside = torch.cat([torch.ones_like(inside[:, :1]), inside[:, 1:]], dim=1)
        raw = torch.where(inside, self.log_mel(self.frames(waves)).float(), end.fill)
        return (raw - end.mean) * (1 / (2 * end.std))

    def frames(self, waves: torch.Tensor) -> torch.Tensor:
        """(B, samples) of all frames -> (B, frames, 400) overlapping windows."""
        blocks = waves.reshape(waves.shape[0], self.samples // BLOCK, BLOCK)
        step, end = HOP // BLOCK, (self.front_end.frames - 1) * (HOP // BLOCK) + 1
        return torch.cat([blocks[:, first : first + end : step] for first in range(WINDOW // BLOCK)], dim=2)

    def log_mel(self, windows: torch.Tensor) -> torch.Tensor:
        """(B, frames, 400) windows -> (B, frames, mels) log energies."""
        centred = windows - windows.mean(2, keepdim=True)
        # the first sample does not matter: the Hann window is 0 there
        emphasised = centred - PREEMPHASIS * functional.pad(centred[..., :-1], (1, 0))
        real, imaginary = ((emphasised * self.window) @ self.basis).chunk(2, dim=2)
        energies = (real.square() + imaginary.square()) @ self.weights
        return energies.clamp(min=FLOOR).log()
