"""The audio front end: waveforms to normalised log-mel filter banks, with augmentation, a batch at a time.

Source: AAT@dc406ad src/dataloader.py, which does it clip by clip on the CPU.

The same code runs on a GPU, where a batch is one piece, and on a CPU, where a batch is cut into pieces whose
intermediate results stay in the processor's cache.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional
from torchaudio.compliance import kaldi

from benchmark.data.audio import RATE

WINDOW = 400
HOP = 160
FFT = 512
PREEMPHASIS = 0.97
LOG_FLOOR = -15.9424  # log of float32's epsilon: what digital silence gives
FRAMES_AT_ONCE = 256  # on a CPU: about 1 MB of intermediate results
CELLS_AT_ONCE = 2**17  # on a CPU: filter-bank cells augmented together, 0.5 MB
FEATURES = 1  # raise when a filter bank's numbers change: cached ones are computed again
NOISE_LEVELS = 2**16


class Mixture(NamedTuple):
    """The mixed clips of a batch: their M rows in it, both waveforms, the first's share and its length.

    Waveforms are mean-free (M, samples), zero behind the first's length.
    """

    rows: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    weights: torch.Tensor
    lengths: torch.Tensor


class Augmentation(NamedTuple):
    """What is drawn for the B clips of a batch: masks as (B, 2) first and end cells, (B,) gains and rolls, noise.

    `noise` holds (B, frames, mels) uniform whole numbers below 2**16; None: neither noise nor roll.
    """

    freq: torch.Tensor
    time: torch.Tensor
    gains: torch.Tensor
    rolls: torch.Tensor
    noise: torch.Tensor | None


class RawBatch(NamedTuple):
    """What a front end makes features of: raw filter banks (B, frames, mels), except for the rows that are mixed."""

    banks: torch.Tensor
    mixture: Mixture | None
    augmentation: Augmentation | None


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

    def __call__(self, batch: RawBatch, device: torch.device | None = None) -> torch.Tensor:
        """(B, frames, mels) normalised features on a device, augmented where the batch says so."""
        device = device or torch.device("cpu")
        features = torch.empty(batch.banks.shape, device=device)
        at_once = max(1, CELLS_AT_ONCE // (self.frames * self.mels)) if device.type == "cpu" else len(features)
        rows, mixed = self._mixed(batch.mixture, device)
        for start in range(0, len(features), at_once):
            piece = slice(start, start + at_once)
            banks = batch.banks[piece].to(device, non_blocking=True)
            here = (rows >= piece.start) & (rows < piece.stop)
            banks[rows[here] - start] = mixed[here]
            draws = None if batch.augmentation is None else _part(batch.augmentation, piece, device)
            self._finish(banks, draws, features[piece])
        return features

    def _mixed(self, mixture: Mixture | None, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of the mixed clips, and their filter banks (M, frames, mels)."""
        if mixture is None:
            return torch.empty(0, dtype=torch.int64), torch.empty(0, self.frames, self.mels, device=device)
        banks = torch.empty(len(mixture.rows), self.frames, self.mels, device=device)
        at_once = 1 if device.type == "cpu" else len(banks)
        for start in range(0, len(banks), at_once):
            piece = slice(start, start + at_once)
            samples = int(mixture.lengths[piece].max())
            parts = (mixture.first[piece, :samples], mixture.second[piece, :samples])
            values = (mixture.weights[piece], mixture.lengths[piece])
            first, second, weights, lengths = (part.to(device, non_blocking=True) for part in (*parts, *values))
            found = filter_bank(mix(first, second, weights, lengths), self.mels, self.frames)
            banks[piece] = fit(found, frame_counts(lengths), self.frames, self.fill)
        return mixture.rows, banks

    def _finish(self, banks: torch.Tensor, draws: Augmentation | None, out: torch.Tensor) -> None:
        """Mask, normalise, add noise, roll: (b, frames, mels) raw banks into `out`.

        A masked cell gets the value of `fill`: the bank is shifted so that this is 0, and multiplied by 0 there.
        """
        scale, masked = 1 / (2 * self.std), (self.fill - self.mean) / (2 * self.std)
        torch.sub(banks, self.fill, out=out) if self.fill else out.copy_(banks)
        out.mul_(scale)
        if draws is not None:
            if self.time_mask:
                out.mul_(_kept(draws.time, self.frames).unsqueeze(2))
            if self.freq_mask:
                out.mul_(_kept(draws.freq, self.mels).unsqueeze(1))
        out.add_(masked)
        if draws is not None and draws.noise is not None:
            out.copy_(add_noise(out, draws.noise, draws.gains, draws.rolls))


def filter_bank(waves: torch.Tensor, mels: int, frames: int | None = None) -> torch.Tensor:
    """(B, samples) at 16 kHz, mean-free -> (B, 1 + (samples - 400) // 160, mels), as AST calls Kaldi's filter bank.

    Agrees with `torchaudio.compliance.kaldi.fbank(htk_compat=True, use_energy=False, window_type="hanning",
    dither=0)` up to rounding. Clips shorter than one 25 ms window are padded to it with zeros (the reference fails,
    defect D35).

    Args:
        waves: a batch.
        mels: bands.
        frames: at most so many are computed.
    """
    if waves.shape[1] < WINDOW:
        waves = functional.pad(waves, (0, WINDOW - waves.shape[1]))
    windows = waves.unfold(1, WINDOW, HOP)[:, :frames]
    banks = waves.new_empty(*windows.shape[:2], mels)
    if waves.device.type != "cpu":
        _log_mel(windows.flatten(0, 1), banks.flatten(0, 1))
        return banks
    for clip, bank in zip(windows, banks, strict=True):  # a clip's numbers do not depend on its batch
        for start in range(0, len(clip), FRAMES_AT_ONCE):
            piece = slice(start, start + FRAMES_AT_ONCE)
            _log_mel(clip[piece], bank[piece])
    return banks


def _log_mel(windows: torch.Tensor, out: torch.Tensor) -> None:
    """(n, 400) samples -> (n, mels): offset removed, pre-emphasis, Hann window, power spectrum, mel bands, log."""
    window, bands = _constants(out.shape[1], windows.device)
    centred = windows - windows.mean(1, keepdim=True)
    shaped = torch.empty_like(centred)
    torch.sub(centred[:, 1:], centred[:, :-1], alpha=PREEMPHASIS, out=shaped[:, 1:])
    torch.sub(centred[:, :1], centred[:, :1], alpha=PREEMPHASIS, out=shaped[:, :1])
    spectrum = torch.view_as_real(torch.fft.rfft(shaped.mul_(window), n=FFT))
    real, imaginary = spectrum.unbind(2)
    torch.mm(torch.addcmul(real * real, imaginary, imaginary), bands, out=out)
    out.clamp_(min=torch.finfo(torch.float32).eps).log_()


@functools.cache
def _constants(mels: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The window (400,), and the weights (257, mels) of the mel bands from 20 Hz to 8 kHz."""
    bands, _ = kaldi.get_mel_banks(mels, FFT, float(RATE), 20.0, 0.0, 100.0, -500.0, 1.0)
    return (
        torch.hann_window(WINDOW, periodic=False).to(device),
        functional.pad(bands, (0, 1)).T.contiguous().to(device),  # nothing of the Nyquist bin
    )


def frame_counts(lengths: torch.Tensor) -> torch.Tensor:
    """Frames of clips of so many samples; at least one."""
    return 1 + (lengths - WINDOW).clamp(min=0) // HOP


def fit(banks: torch.Tensor, counts: torch.Tensor, frames: int, fill: float) -> torch.Tensor:
    """(B, n, mels) banks of which `counts` (B,) rows are a clip's -> (B, frames, mels), cut or filled up."""
    banks = functional.pad(banks[:, :frames], (0, 0, 0, max(0, frames - banks.shape[1])))
    inside = torch.arange(frames, device=banks.device) < counts.unsqueeze(1)
    return torch.where(inside.unsqueeze(2), banks, fill)


def mix(first: torch.Tensor, second: torch.Tensor, weights: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Mixup of (M, samples) mean-free waveforms, of which the first `lengths` samples count; their mean is removed."""
    share = weights.unsqueeze(1)
    mixed = first * share
    mixed.addcmul_(second, 1 - share)
    mixed.sub_(mixed.sum(1, keepdim=True) / lengths.unsqueeze(1))
    return mixed.mul_(torch.arange(mixed.shape[1], device=mixed.device) < lengths.unsqueeze(1))


def remove_mean(wave: torch.Tensor) -> torch.Tensor:
    """The waveform without its mean over time."""
    return wave - wave.mean()


def add_noise(banks: torch.Tensor, uniform: torch.Tensor, gains: torch.Tensor, rolls: torch.Tensor) -> torch.Tensor:
    """Add uniform noise at the drawn gains, then roll along time, padding and all (defect D30).

    Args:
        banks: (B, frames, mels), changed.
        uniform: the same shape, whole numbers below 2**16.
        gains: (B,) of the noise.
        rolls: (B,) frames to roll by.
    """
    clips, frames, _ = banks.shape
    banks.addcmul_(uniform.to(torch.float32), (gains / NOISE_LEVELS).view(-1, 1, 1))
    source = (torch.arange(frames, device=banks.device) - rolls.unsqueeze(1)) % frames
    rows = source + torch.arange(clips, device=banks.device).unsqueeze(1) * frames
    return banks.flatten(0, 1).index_select(0, rows.flatten()).view_as(banks)


def _kept(spans: torch.Tensor, size: int) -> torch.Tensor:
    """(B, 2) first and end cells of masks -> (B, size), 0 in the mask and 1 beside it."""
    cells = torch.arange(size, device=spans.device)
    return ((cells < spans[:, :1]) | (cells >= spans[:, 1:])).to(torch.float32)


def _part(draws: Augmentation, piece: slice, device: torch.device) -> Augmentation:
    freq, time, gains, rolls = (
        part[piece].to(device, non_blocking=True) for part in (draws.freq, draws.time, draws.gains, draws.rolls)
    )
    noise = None if draws.noise is None else draws.noise[piece].to(device, non_blocking=True)
    return Augmentation(freq, time, gains, rolls, noise)
