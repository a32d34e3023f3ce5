"""The audio front end: waveforms to normalised log-mel filter banks, with augmentation, a batch at a time.

Source: AAT@dc406ad src/dataloader.py, which does it clip by clip on the CPU.

The same code runs on a GPU, where a batch is one piece, and on a CPU, where a batch is cut into pieces whose
intermediate results stay in the processor's cache.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
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
BINS_AT_ONCE = 64
FRAMES_AT_ONCE = 512  # on a CPU: about 3 MB of intermediate results
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

    `noise` holds (B, frames, mels) uniform whole numbers below 2**16, added at the gains; None: neither noise nor roll.
    """

    freq: torch.Tensor
    time: torch.Tensor
    gains: torch.Tensor
    rolls: torch.Tensor
    noise: torch.Tensor | None


class RawBatch(NamedTuple):
    """What a front end makes features of: raw filter banks (B, frames, mels), except for the rows that are mixed.

    Where the augmentation rolls, the banks are rolled already: while they are copied it costs nothing.
    """

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
        """(B, frames, mels) normalised features on a device, augmented where the batch says so.

        On a CPU the batch's own tensors are written over.
        """
        banks = batch.banks.to(device or batch.banks.device, non_blocking=True)
        on_cpu = banks.device.type == "cpu"
        rolls = batch.augmentation.rolls if batch.augmentation and batch.augmentation.noise is not None else None
        if batch.mixture is not None:
            self._mix(batch.mixture, banks, rolls, at_once=1 if on_cpu else len(banks))
        at_once = max(1, CELLS_AT_ONCE // (self.frames * self.mels)) if on_cpu else len(banks)
        pieces = [slice(start, start + at_once) for start in range(0, len(banks), at_once)]
        if batch.augmentation is not None:
            self._augment(banks, batch.augmentation, pieces)
            return banks
        for piece in pieces:
            banks[piece].sub_(self.mean).mul_(1 / (2 * self.std))
        return banks

    def _mix(self, mixture: Mixture, banks: torch.Tensor, rolls: torch.Tensor | None, at_once: int) -> None:
        """Put the filter banks of mixed clips, rolled, into their rows of (B, frames, mels)."""
        for start in range(0, len(mixture.rows), at_once):
            piece = slice(start, start + at_once)
            lengths = mixture.lengths[piece]
            samples = int(lengths.max())
            ragged = int(lengths.min()) < samples
            parts = (mixture.first[piece, :samples], mixture.second[piece, :samples], mixture.weights[piece], lengths)
            first, second, weights, lengths = (part.to(banks.device, non_blocking=True) for part in parts)
            mixed = filter_bank(mix(first, second, weights, lengths, ragged=ragged), self.mels, self.frames)
            fitted = fit(mixed, self.frames, self.fill, frame_counts(lengths) if ragged else None)
            rows = mixture.rows[piece]
            if rolls is not None:
                fitted = _rolled(fitted, rolls[rows].to(banks.device))
            banks.index_copy_(0, rows.to(banks.device), fitted)

    def _augment(self, banks: torch.Tensor, draws: Augmentation, pieces: Sequence[slice]) -> None:
        """Mask, normalise and add noise to (B, frames, mels) raw banks, in place.

        A masked cell gets the value of `fill`: the bank is shifted so that this is 0, and multiplied by 0 there. The
        reference rolls last (defect D30); noise that is drawn for every cell alike is the same afterwards.
        """
        freq, time, gains, rolls = (
            part.to(banks.device, non_blocking=True) for part in (draws.freq, draws.time, draws.gains, draws.rolls)
        )
        scale, frames = 1 / (2 * self.std), torch.arange(self.frames, device=banks.device).unsqueeze(0)
        if draws.noise is not None:
            frames = (frames - rolls.unsqueeze(1)) % self.frames
        kept_frames = (_kept(time, frames) * scale).unsqueeze(2)
        kept_bands = _kept(freq, torch.arange(self.mels, device=banks.device)).unsqueeze(1)
        levels = (gains / NOISE_LEVELS).view(-1, 1, 1)
        for piece in pieces:
            part = banks[piece]
            if self.fill:
                part.sub_(self.fill)
            part.mul_(kept_frames[piece]).mul_(kept_bands[piece]).add_((self.fill - self.mean) * scale)
            if draws.noise is not None:
                noise = draws.noise[piece].to(banks.device, torch.float32, non_blocking=True)
                part.add_(noise.mul_(levels[piece]))


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
    count = 1 + (waves.shape[1] - WINDOW) // HOP
    count = count if frames is None else min(count, frames)
    # a window's offset is taken off behind the pre-emphasis, which then is done once a sample instead of once a window;
    # the first sample of a window does not matter, the Hann window is 0 there
    emphasised = torch.zeros_like(waves)
    torch.sub(waves[:, 1:], waves[:, :-1], alpha=PREEMPHASIS, out=emphasised[:, 1:])
    windows, shaped = (each.unfold(1, WINDOW, HOP)[:, :count] for each in (waves, emphasised))
    banks = waves.new_zeros(len(waves), count, mels)
    if waves.device.type != "cpu":
        _log_mel(windows.flatten(0, 1), shaped.flatten(0, 1), banks.flatten(0, 1))
        return banks
    for clip in zip(windows, shaped, banks, strict=True):  # a clip's numbers do not depend on its batch
        for start in range(0, count, FRAMES_AT_ONCE):
            _log_mel(*(part[start : start + FRAMES_AT_ONCE] for part in clip))
    return banks


def _log_mel(windows: torch.Tensor, emphasised: torch.Tensor, out: torch.Tensor) -> None:
    """(n, 400) samples, (n, 400) samples with pre-emphasis -> (n, mels), added to zeros: log energies of mel bands."""
    window, blocks = _constants(out.shape[1], windows.device)
    shaped = emphasised - windows.mean(1, keepdim=True).mul_(1 - PREEMPHASIS)
    spectrum = torch.view_as_real(torch.fft.rfft(shaped.mul_(window), n=FFT))
    real, imaginary = spectrum.unbind(2)
    power = torch.addcmul(real * real, imaginary, imaginary)
    for bins, bands, weights in blocks:
        out[:, bands].addmm_(power[:, bins], weights)
    out.clamp_(min=torch.finfo(torch.float32).eps).log_()


@functools.cache
def _constants(mels: int, device: torch.device) -> tuple[torch.Tensor, list[tuple[slice, slice, torch.Tensor]]]:
    """The window (400,), and the weights of the mel bands from 20 Hz to 8 kHz in blocks: bins, bands, (bins, bands).

    A bin lies in two bands, so most of one large matrix would be zeros.
    """
    weights, _ = kaldi.get_mel_banks(mels, FFT, float(RATE), 20.0, 0.0, 100.0, -500.0, 1.0)
    weights = functional.pad(weights, (0, 1)).T  # (257, mels), nothing of the Nyquist bin
    blocks = []
    for start in range(0, FFT // 2, BINS_AT_ONCE):
        bins = slice(start, start + BINS_AT_ONCE)
        touched = weights[bins].any(0).nonzero().flatten()
        bands = slice(int(touched.min()), int(touched.max()) + 1)
        blocks.append((bins, bands, weights[bins, bands].contiguous().to(device)))
    return torch.hann_window(WINDOW, periodic=False).to(device), blocks


def frame_counts(lengths: torch.Tensor) -> torch.Tensor:
    """Frames of clips of so many samples; at least one."""
    return 1 + (lengths - WINDOW).clamp(min=0) // HOP


def fit(banks: torch.Tensor, frames: int, fill: float, counts: torch.Tensor | None = None) -> torch.Tensor:
    """(B, n, mels) banks -> (B, frames, mels), cut or filled up; where given, only `counts` (B,) rows are a clip's."""
    banks = functional.pad(banks[:, :frames], (0, 0, 0, max(0, frames - banks.shape[1])), value=fill)
    if counts is None:
        return banks
    inside = torch.arange(frames, device=banks.device) < counts.unsqueeze(1)
    return torch.where(inside.unsqueeze(2), banks, fill)


def mix(
    first: torch.Tensor, second: torch.Tensor, weights: torch.Tensor, lengths: torch.Tensor, *, ragged: bool
) -> torch.Tensor:
    """Mixup of (M, samples) mean-free waveforms; the mixture's mean is removed.

    Args:
        first: zero behind its length; becomes the mixture.
        second: the same.
        weights: (M,) share of the first.
        lengths: (M,) samples that count, those of the first.
        ragged: whether lengths differ from the number of samples.
    """
    share = weights.unsqueeze(1)
    mixed = first.mul_(share).addcmul_(second, 1 - share)
    mixed.sub_(mixed.sum(1, keepdim=True) / lengths.unsqueeze(1))
    if ragged:
        mixed.mul_(torch.arange(mixed.shape[1], device=mixed.device) < lengths.unsqueeze(1))
    return mixed


def _rolled(banks: torch.Tensor, rolls: torch.Tensor) -> torch.Tensor:
    """(B, frames, mels), each rolled along time by its number of frames, padding and all."""
    clips, frames, _ = banks.shape
    source = (torch.arange(frames, device=banks.device) - rolls.unsqueeze(1)) % frames
    rows = source + torch.arange(clips, device=banks.device).unsqueeze(1) * frames
    return banks.flatten(0, 1).index_select(0, rows.flatten()).view_as(banks)


def _kept(spans: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """(B, 2) first and end cells of masks, (B or 1, n) cells -> (B, n), 0 in the mask and 1 beside it."""
    return ((cells < spans[:, :1]) | (cells >= spans[:, 1:])).to(torch.float32)
