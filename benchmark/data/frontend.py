"""The audio front end: waveform to normalised log-mel filter bank, with augmentation.

Source: AAT@dc406ad src/dataloader.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional
from torchaudio.compliance import kaldi

from benchmark.data.audio import RATE
from benchmark.data.augmentation import Draws

WINDOW = 400
LOG_FLOOR = -15.9424  # log of float32's epsilon: what digital silence gives


@dataclass(frozen=True)
class FrontEnd:
    """Settings of a recipe and a protocol.

    `fill` is the raw value of padded and masked cells (protocol switch `padding`); masks are upper bounds in mel bands
    and frames; `noise` adds noise and rolls in training.
    """

    mels: int
    frames: int
    mean: float
    std: float
    freq_mask: int
    time_mask: int
    fill: float
    noise: bool

    def __call__(self, wave: torch.Tensor, draws: Draws | None = None) -> torch.Tensor:
        """(samples,) mean-free at 16 kHz -> (frames, mels); augmented when there are draws."""
        bank = pad_or_cut(filter_bank(wave, self.mels), self.frames, self.fill)
        if draws is not None:
            mask(bank, dim=1, bound=self.freq_mask, draws=draws.freq, fill=self.fill)
            mask(bank, dim=0, bound=self.time_mask, draws=draws.time, fill=self.fill)
        bank = (bank - self.mean) / (2 * self.std)
        if draws is not None and self.noise:
            generator = torch.Generator().manual_seed(draws.noise_seed)
            return add_noise(bank, torch.rand(bank.shape, generator=generator), draws)
        return bank


def filter_bank(wave: torch.Tensor, mels: int) -> torch.Tensor:
    """(samples,) at 16 kHz -> (1 + (samples - 400) // 160, mels), Kaldi's log-mel filter bank as AST calls it.

    Clips shorter than one 25 ms window are padded to it with zeros (the reference fails, defect D35).
    """
    if len(wave) < WINDOW:
        wave = functional.pad(wave, (0, WINDOW - len(wave)))
    bank: torch.Tensor = kaldi.fbank(
        wave.unsqueeze(0),
        htk_compat=True,
        sample_frequency=RATE,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=mels,
        dither=0.0,
        frame_shift=10,
    )
    return bank


def add_noise(bank: torch.Tensor, uniform: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Add uniform noise at the drawn gain, then roll along time, padding and all (defect D30)."""
    return torch.roll(bank + uniform * draws.gain, draws.roll, dims=0)


def mix(first: torch.Tensor, second: torch.Tensor, weight: float) -> torch.Tensor:
    """Mixup of two mean-free waveforms at the length of the first; the mean is removed again."""
    second = functional.pad(second, (0, max(0, len(first) - len(second))))[: len(first)]
    return remove_mean(weight * first + (1 - weight) * second)


def remove_mean(wave: torch.Tensor) -> torch.Tensor:
    """The waveform without its mean over time."""
    return wave - wave.mean()


def pad_or_cut(bank: torch.Tensor, frames: int, fill: float) -> torch.Tensor:
    """A copy with exactly `frames` rows: rows of `fill` at the end, or the first `frames` ones."""
    padded = torch.full((frames, bank.shape[1]), fill, dtype=bank.dtype)
    kept = min(frames, len(bank))
    padded[:kept] = bank[:kept]
    return padded


def mask(bank: torch.Tensor, *, dim: int, bound: int, draws: tuple[float, float], fill: float) -> None:
    """One SpecAugment mask in place, placed as torchaudio's masking does from its two uniform draws."""
    width = draws[0] * bound
    start = int(draws[1] * (bank.shape[dim] - width))
    bank.narrow(dim, start, int(width)).fill_(fill)
