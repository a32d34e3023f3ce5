"""The audio front end: waveforms to normalised log-mel filter banks, with augmentation, batch by batch.

Source: AAT@dc406ad src/dataloader.py, which works clip by clip on the CPU.

The same code runs on GPU and CPU. A GPU processes a batch at once. On a CPU, a batch is cut into pieces, so that
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
LOW_HZ, HIGH_HZ = 20.0, RATE / 2  # lowest and highest frequency of the mel bands
PREEMPHASIS = 0.97
LOG_FLOOR = -15.9424  # log of float32's epsilon: the value of digital silence
BINS_AT_ONCE = 64
FRAMES_AT_ONCE = 512  # on a CPU: about 3 MB of intermediate results
CELLS_AT_ONCE = 2**17  # on a CPU: filter-bank cells augmented together, 0.5 MB
FEATURES = 1  # raise when a filter bank's numbers change: cached ones are then computed again
NOISE_LEVELS = 2**16


class Mixture(NamedTuple):
    """The M mixed clips of a batch.

    Attributes:
        rows: (M,) their rows in the batch.
        first: (M, samples) mean-free waveforms, zero after their length.
        second: (M, samples) mean-free waveforms of the partners, zero after the first's length.
        weights: (M,) share of the first.
        lengths: (M,) samples of the first.
    """

    rows: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    weights: torch.Tensor
    lengths: torch.Tensor


class Augmentation(NamedTuple):
    """Random values for the B clips of a batch.

    Attributes:
        freq: (B, 2) first masked mel band, and first band after the mask.
        time: (B, 2) the same in frames.
        gains: (B,) factors of the noise.
        rolls: (B,) shifts along time in frames.
        noise: (B, frames, mels) uniform integers below 2**16; None for neither noise nor roll.
    """

    freq: torch.Tensor
    time: torch.Tensor
    gains: torch.Tensor
    rolls: torch.Tensor
    noise: torch.Tensor | None


class RawBatch(NamedTuple):
    """Input of a front end.

    Attributes:
        banks: (B, frames, mels) raw filter banks; rows of mixed clips have no values yet. They are rolled already if
            the augmentation rolls, because that costs nothing while they are copied. A data worker sends (0, frames,
            mels) where the device has the banks.
        mixture: the mixed clips; None if there are none.
        augmentation: random values; None for evaluation.
    """

    banks: torch.Tensor
    mixture: Mixture | None
    augmentation: Augmentation | None


@dataclass(frozen=True)
class FrontEnd:
    """Compute features with the settings of a recipe and a protocol.

    Attributes:
        mels: bands of the filter banks.
        frames: length of the features.
        mean: of the filter banks, for normalisation.
        std: of the filter banks, for normalisation.
        freq_mask: upper bound of the frequency mask in mel bands.
        time_mask: upper bound of the time mask in frames.
        fill: raw value of padded and masked cells (protocol switch `padding`).
        noise: whether training adds noise and rolls along time.
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
        """Return (B, frames, mels) normalised features on a device, augmented if the batch has random values.

        On a CPU, the batch's tensors are overwritten.
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
        """Compute the filter banks of mixed clips, roll them, and copy them into their rows of (B, frames, mels)."""
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
                fitted = rolled(fitted, rolls[rows].to(banks.device, non_blocking=True))
            banks.index_copy_(0, rows.to(banks.device, non_blocking=True), fitted)

    def _augment(self, banks: torch.Tensor, draws: Augmentation, pieces: Sequence[slice]) -> None:
        """Mask, normalise and add noise to (B, frames, mels) raw banks, in place.

        Masked cells get the value `fill`: the bank is shifted so that `fill` becomes 0, and masked cells are
        multiplied by 0. The reference rolls last (defect D30). That does not matter for noise, because all cells draw
        it from the same distribution.
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
                # in two steps: in one, the CPU would convert, and the copy would wait for it
                noise = draws.noise[piece].to(banks.device, non_blocking=True).to(torch.float32)
                part.add_(noise.mul_(levels[piece]))


def filter_bank(waves: torch.Tensor, mels: int, frames: int | None = None) -> torch.Tensor:
    """Compute log-mel filter banks as AST does with Kaldi's.

    They agree with `torchaudio.compliance.kaldi.fbank(htk_compat=True, use_energy=False, window_type="hanning",
    dither=0)` up to rounding. Clips shorter than one 25 ms window are padded with zeros to that length (the reference
    fails, defect D35).

    Args:
        waves: (B, samples) at 16 kHz, mean-free.
        mels: number of bands.
        frames: largest number of frames to compute; None for all.

    Returns:
        (B, 1 + (samples - 400) // 160, mels), not normalised.
    """
    if waves.shape[1] < WINDOW:
        waves = functional.pad(waves, (0, WINDOW - waves.shape[1]))
    count = 1 + (waves.shape[1] - WINDOW) // HOP
    count = count if frames is None else min(count, frames)
    # the mean of a window is subtracted after the pre-emphasis, so that pre-emphasis is computed once per sample and
    # not once per window; the first sample of a window does not matter because the Hann window is 0 there
    emphasised = torch.zeros_like(waves)
    torch.sub(waves[:, 1:], waves[:, :-1], alpha=PREEMPHASIS, out=emphasised[:, 1:])
    windows, shaped = (signal.unfold(1, WINDOW, HOP)[:, :count] for signal in (waves, emphasised))
    banks = waves.new_zeros(len(waves), count, mels)
    if waves.device.type != "cpu":
        _log_mel(windows.flatten(0, 1), shaped.flatten(0, 1), banks.flatten(0, 1))
        return banks
    for clip in zip(windows, shaped, banks, strict=True):  # so that a clip's numbers do not depend on its batch
        for start in range(0, count, FRAMES_AT_ONCE):
            _log_mel(*(part[start : start + FRAMES_AT_ONCE] for part in clip))
    return banks


def _log_mel(windows: torch.Tensor, emphasised: torch.Tensor, out: torch.Tensor) -> None:
    """Compute the log energies of mel bands.

    Args:
        windows: (n, 400) samples.
        emphasised: (n, 400) samples with pre-emphasis.
        out: (n, mels) zeros, to which the energies are added.
    """
    window, blocks = _constants(out.shape[1], windows.device)
    shaped = emphasised - windows.mean(1, keepdim=True).mul_(1 - PREEMPHASIS)
    spectrum = torch.view_as_real(torch.fft.rfft(shaped.mul_(window), n=FFT))
    real, imaginary = spectrum.unbind(2)
    power = torch.addcmul(real * real, imaginary, imaginary)
    for bins, bands, weights in blocks:
        out[:, bands].addmm_(power[:, bins], weights)
    out.clamp_(min=torch.finfo(torch.float32).eps).log_()


def mel_weights(mels: int) -> torch.Tensor:
    """Return the (257, mels) weights of Kaldi's mel bands for the bins of a power spectrum, 0 for the Nyquist bin."""
    weights, _ = kaldi.get_mel_banks(mels, FFT, float(RATE), LOW_HZ, HIGH_HZ, 100.0, -500.0, 1.0)
    return functional.pad(weights, (0, 1)).T


@functools.cache
def _constants(mels: int, device: torch.device) -> tuple[torch.Tensor, list[tuple[slice, slice, torch.Tensor]]]:
    """Return the window (400,), and the weights of the mel bands from 20 Hz to 8 kHz in blocks.

    A block is a slice of bins, a slice of bands, and (bins, bands) weights. A bin lies in two bands only, so that most
    of one large matrix would be zeros.
    """
    weights = mel_weights(mels)
    blocks = []
    for start in range(0, FFT // 2, BINS_AT_ONCE):
        bins = slice(start, start + BINS_AT_ONCE)
        touched = weights[bins].any(0).nonzero().flatten()
        bands = slice(int(touched.min()), int(touched.max()) + 1)
        blocks.append((bins, bands, weights[bins, bands].contiguous().to(device)))
    return torch.hann_window(WINDOW, periodic=False).to(device), blocks


def frame_count(samples: int) -> int:
    """Return the number of frames of a waveform; at least one."""
    return 1 + max(0, samples - WINDOW) // HOP


def frame_counts(lengths: torch.Tensor) -> torch.Tensor:
    """Return the number of frames for each number of samples; at least one."""
    return 1 + (lengths - WINDOW).clamp(min=0) // HOP


def fit(banks: torch.Tensor, frames: int, fill: float, counts: torch.Tensor | None = None) -> torch.Tensor:
    """Cut or pad banks along time.

    Args:
        banks: (B, n, mels).
        frames: length of the result.
        fill: value of the padding.
        counts: (B,) frames of each clip, after which everything is padding; None if all n frames count.

    Returns:
        (B, frames, mels).
    """
    banks = functional.pad(banks[:, :frames], (0, 0, 0, max(0, frames - banks.shape[1])), value=fill)
    if counts is None:
        return banks
    inside = torch.arange(frames, device=banks.device) < counts.unsqueeze(1)
    return torch.where(inside.unsqueeze(2), banks, fill)


def mix(
    first: torch.Tensor, second: torch.Tensor, weights: torch.Tensor, lengths: torch.Tensor, *, ragged: bool
) -> torch.Tensor:
    """Mix (M, samples) mean-free waveforms, and remove the mean of the mixture.

    Args:
        first: zero after its length; overwritten with the mixture.
        second: zero after the first's length.
        weights: (M,) share of the first.
        lengths: (M,) samples of the first, which are those of the mixture.
        ragged: whether lengths differ from the number of samples.
    """
    share = weights.unsqueeze(1)
    mixed = first.mul_(share).addcmul_(second, 1 - share)
    mixed.sub_(mixed.sum(1, keepdim=True) / lengths.unsqueeze(1))
    if ragged:
        mixed.mul_(torch.arange(mixed.shape[1], device=mixed.device) < lengths.unsqueeze(1))
    return mixed


def rolled(banks: torch.Tensor, rolls: torch.Tensor) -> torch.Tensor:
    """Roll (B, frames, mels) banks along time, padding included, each by its number of frames."""
    clips, frames, _ = banks.shape
    source = (torch.arange(frames, device=banks.device) - rolls.unsqueeze(1)) % frames
    rows = source + torch.arange(clips, device=banks.device).unsqueeze(1) * frames
    return banks.flatten(0, 1).index_select(0, rows.flatten()).view_as(banks)


def _kept(spans: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Return (B, n): 0 in the mask, 1 outside; masks are (B, 2) first and end cells, `cells` is (B or 1, n)."""
    return ((cells < spans[:, :1]) | (cells >= spans[:, 1:])).to(torch.float32)
