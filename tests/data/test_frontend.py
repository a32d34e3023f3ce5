"""The front end against the reference's numbers, and its random parts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchaudio.compliance import kaldi

from benchmark.data.audio import RATE
from benchmark.data.audio_store import AudioStore
from benchmark.data.augmentation import MAX_ROLL, UNMIXED, draw, noise, spans
from benchmark.data.frontend import (
    LOG_FLOOR,
    Augmentation,
    FrontEnd,
    Mixture,
    RawBatch,
    filter_bank,
    fit,
    frame_counts,
    mix,
)
from benchmark.data.loader import Clips
from benchmark.data.manifest import Clip

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "golden.json").read_text())["frontend"]
NEAR = {"atol": 1e-4, "rtol": 0}
FRONT_END = FrontEnd(
    mels=128, frames=128, mean=-6.6268077, std=5.358466, freq_mask=24, time_mask=48, fill=0.0, noise=False
)


def waveform(seed: int, samples: int) -> torch.Tensor:
    """The golden file's rule for waveforms, decoded and mean-free."""
    r, t = np.random.RandomState(seed), np.arange(samples) / 16000
    x = 0.1 * r.standard_normal(samples) + 0.3 * np.sin(2 * np.pi * 440 * t)
    x = np.clip(x + 0.2 * np.sin(2 * np.pi * 3100 * t + 1) + 0.01, -1, 1)
    return remove_mean(torch.from_numpy((np.round(x * 32767).astype(np.int16) / 32768).astype(np.float32)))


def remove_mean(wave: torch.Tensor) -> torch.Tensor:
    return wave - wave.mean()


def raw_bank(wave: torch.Tensor, frames: int = 128, fill: float = 0.0) -> torch.Tensor:
    """(1, frames, 128)."""
    return fit(filter_bank(wave.unsqueeze(0), 128), frames, fill)


def augmentation(clips: int, *, rolls: int = 0, gain: float = 0.0, seed: int | None = None) -> Augmentation:
    """The same masks for every clip: bands 10 to 20, frames 30 to 50."""
    return Augmentation(
        freq=torch.tensor([[10, 20]] * clips),
        time=torch.tensor([[30, 50]] * clips),
        gains=torch.full((clips,), gain),
        rolls=torch.full((clips,), rolls),
        noise=None if seed is None else torch.from_numpy(noise(np.arange(clips) + seed, 128, 128)),
    )


@pytest.mark.parametrize("case", GOLDEN["fbank"], ids=lambda case: f"{case['samples']}-{case['target_length']}")
def test_filter_banks_are_the_reference_ones(case: dict) -> None:
    banks = raw_bank(waveform(case["seed"], case["samples"]), case["target_length"])
    [bank], expected = banks, case["unnormalised"]
    assert list(bank.shape) == expected["shape"]
    for place, value in expected["at"].items():
        row, column = map(int, place.split(","))
        assert float(bank[row, column]) == pytest.approx(value, abs=1e-4)
    np.testing.assert_allclose(bank[:8].mean(1), expected["row_means_first8"], atol=1e-4)
    np.testing.assert_allclose(bank.mean(0)[::16], expected["col_means_every16"], atol=1e-4)
    assert int((bank == 0).all(1).sum()) == expected["n_zero_rows"]
    [normalised] = replace(FRONT_END, frames=case["target_length"])(RawBatch(banks, None, None))
    assert float(normalised.double().sum()) == pytest.approx(
        case["normalised_mean-6.6268077_std5.358466"]["sum"], rel=1e-6
    )


@given(seed=st.integers(0, 2**31), samples=st.integers(400, 40_000), level=st.floats(1e-4, 1))
@settings(max_examples=25, deadline=None)
def test_filter_banks_are_kaldi_ones_up_to_rounding(seed: int, samples: int, level: float) -> None:
    wave = remove_mean(torch.randn(samples, generator=torch.Generator().manual_seed(seed)) * level)
    options = {"htk_compat": True, "use_energy": False, "window_type": "hanning", "num_mel_bins": 128, "dither": 0.0}
    truth = kaldi.fbank(wave.double().unsqueeze(0), **options)
    [ours] = filter_bank(wave.unsqueeze(0), 128)
    assert ours.shape == truth.shape
    assert float((ours - truth).abs().mean()) < 1e-5
    # a band's energy is off by rounding of its frame's; the logarithm of a nearly empty band may be off by more
    scale = truth.exp().amax(1, keepdim=True)
    assert float(((ours.double().exp() - truth.exp()) / scale).abs().max()) < 2e-6


def test_a_clips_numbers_do_not_depend_on_its_batch() -> None:
    waves = torch.randn(5, 20_000)
    together = filter_bank(waves, 128)
    assert all(
        torch.equal(filter_bank(wave.unsqueeze(0), 128)[0], bank) for wave, bank in zip(waves, together, strict=True)
    )
    assert torch.equal(filter_bank(waves, 128, frames=40), filter_bank(waves[:, : 400 + 39 * 160], 128))


@pytest.mark.parametrize("samples", [1, 399, 400, 559, 560])
def test_clips_shorter_than_a_window_do_not_fail(samples: int) -> None:
    assert filter_bank(torch.zeros(1, samples), 128).shape == (1, 1 if samples < 560 else 2, 128)
    assert int(frame_counts(torch.tensor(samples))) == (1 if samples < 560 else 2)


def test_digital_silence_has_the_floor() -> None:
    assert float(filter_bank(torch.zeros(1, 1000), 128).unique()) == pytest.approx(LOG_FLOOR, abs=1e-4)


@pytest.mark.parametrize("bound", [0, 24, 48])
def test_masks_are_placed_like_torchaudio_places_them(bound: int) -> None:
    torch.manual_seed(0)
    for _ in range(200):
        state = torch.get_rng_state()
        masked = torchaudio.functional.mask_along_axis(torch.ones(1, 100, 128), bound, 0.0, axis=2)[0, 0]
        torch.set_rng_state(state)
        [start], [end] = spans(torch.cat([torch.rand(1), torch.rand(1)]).unsqueeze(0).numpy(), bound, 128)
        assert (masked == 0).nonzero().flatten().tolist() == list(range(start, end))


def test_masked_cells_are_as_if_padded() -> None:
    for fill in (0.0, LOG_FLOOR):
        end = replace(FRONT_END, fill=fill)
        banks = raw_bank(waveform(1, 16_000), fill=fill)
        plain, masked = end(RawBatch(banks, None, None))[0], end(RawBatch(banks, None, augmentation(1)))[0]
        inside = torch.zeros(128, 128, dtype=torch.bool)
        inside[30:50] = True
        inside[:, 10:20] = True
        assert torch.equal(masked[~inside], plain[~inside])
        assert masked[inside].unique().tolist() == [pytest.approx((fill + 6.6268077) / (2 * 5.358466))]


def test_mixup_keeps_the_length_of_the_first() -> None:
    first, second = remove_mean(torch.randn(1000)), remove_mean(torch.randn(600))
    waves = torch.zeros(2, 1, 1200)
    waves[0, 0, :1000], waves[1, 0, :600] = first, second
    [mixed] = mix(waves[0], waves[1], torch.tensor([0.3]), torch.tensor([1000]), ragged=True)
    expected = remove_mean(0.3 * first + 0.7 * torch.cat([second, torch.zeros(400)]))
    torch.testing.assert_close(mixed, torch.cat([expected, torch.zeros(200)]))


def test_a_mixed_batch_is_its_clips_one_by_one() -> None:
    lengths = [300, 9_000, 16_000, 40_000]
    waves = [remove_mean(torch.randn(length)) for length in lengths]
    others = [remove_mean(torch.randn(length)) for length in (5_000, 9_000, 20_000, 1_000)]
    shares = torch.tensor([0.2, 0.5, 0.7, 0.9])
    first, second = torch.zeros(2, 4, 40_000)
    for row, (wave, other) in enumerate(zip(waves, others, strict=True)):
        first[row, : len(wave)] = wave
        cut = other[: len(wave)]
        second[row, : len(cut)] = cut
    rows = torch.tensor([5, 0, 3, 1])
    banks = torch.randn(6, 128, 128)
    untouched = banks[[2, 4]].clone()
    features = FRONT_END(RawBatch(banks, Mixture(rows, first, second, shares, torch.tensor(lengths)), None))
    for row, wave, other, share in zip(rows, waves, others, shares, strict=True):
        fitted = torch.nn.functional.pad(other, (0, max(0, len(wave) - len(other))))[: len(wave)]
        alone = FRONT_END(RawBatch(raw_bank(remove_mean(share * wave + (1 - share) * fitted)), None, None))[0]
        torch.testing.assert_close(features[row], alone, **NEAR)
    torch.testing.assert_close(features[[2, 4]], (untouched - FRONT_END.mean) / (2 * FRONT_END.std))


def test_noise_is_positive_and_bounded_by_its_gain() -> None:
    banks = raw_bank(waveform(1, 16000))
    end = replace(FRONT_END, noise=True)
    clean = end(RawBatch(banks.clone(), None, None))[0]
    nowhere = torch.zeros(1, 2, dtype=torch.int64)
    draws = augmentation(1, rolls=-4, gain=0.05, seed=3)._replace(freq=nowhere, time=nowhere)
    added = end(RawBatch(banks, None, draws))[0] - clean
    assert float(added.min()) >= -1e-6
    assert float(added.max()) <= 0.05 + 1e-6
    assert float(added.mean()) == pytest.approx(0.025, rel=0.01)


@pytest.mark.parametrize("roll", [-10, -1, 0, 3, 9])
@pytest.mark.parametrize("samples", [3_000, 12_000, 20_640, 30_000])  # shorter, as long as and longer than the frames
@pytest.mark.parametrize("mixed", [False, True])
def test_masks_and_padding_are_rolled_with_the_clip(tmp_path: Path, samples: int, roll: int, mixed: bool) -> None:
    """As the reference does it: mask first, roll last."""
    rng = np.random.default_rng(0)
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", rng.normal(0, 0.1, samples), RATE, subtype="FLOAT")
    clips = [Clip("a.wav", 0, (0,)), Clip("b.wav", 0, (1,))]
    ready = Clips(AudioStore(tmp_path, None, 128), clips, 2, replace(FRONT_END, noise=True))
    draws = replace(draw(np.random.default_rng(1), 2, 1.0), gain=np.zeros(2), partner=np.array([1, 0]))
    if not mixed:
        draws = replace(draws, partner=np.full(2, UNMIXED))
    draws = replace(draws, roll=np.array([roll, -roll]))
    rolled = ready.front_end(ready[[0, 1], draws].raw)
    plain = Clips(AudioStore(tmp_path, None, 128), clips, 2, FRONT_END)
    straight = plain.front_end(plain[[0, 1], draws].raw)
    torch.testing.assert_close(rolled[0], torch.roll(straight[0], roll, dims=0))
    torch.testing.assert_close(rolled[1], torch.roll(straight[1], -roll, dims=0))


def test_noise_is_uniform_and_a_stream_a_clip() -> None:
    cells = noise(np.array([1, 2, 1]), 128, 128) / 2**16
    assert np.array_equal(cells[0], cells[2])
    assert stats.kstest(cells[:2].ravel(), "uniform").pvalue > 0.01
    assert abs(np.corrcoef(cells[0].ravel(), cells[1].ravel())[0, 1]) < 0.03


def test_augmentation_happens_only_with_draws() -> None:
    banks = raw_bank(waveform(1, 16000))
    clean = FRONT_END(RawBatch(banks.clone(), None, None))
    assert torch.equal(replace(FRONT_END, noise=True)(RawBatch(banks.clone(), None, None)), clean)
    assert not torch.equal(FRONT_END(RawBatch(banks, None, augmentation(1))), clean)


def test_pieces_of_a_batch_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    banks = torch.randn(7, 128, 128)
    end = replace(FRONT_END, noise=True)
    whole = []
    for cells in (1, 2**14 * 3, 2**30):
        monkeypatch.setattr("benchmark.data.frontend.CELLS_AT_ONCE", cells)
        whole.append(end(RawBatch(banks.clone(), None, augmentation(7, rolls=3, gain=0.05, seed=0))))
    assert torch.equal(whole[0], whole[1])
    assert torch.equal(whole[0], whole[2])


def test_padding_may_be_silence_instead() -> None:
    wave = waveform(1, 8000)
    silent = replace(FRONT_END, fill=LOG_FLOOR)(RawBatch(raw_bank(wave, fill=LOG_FLOOR), None, None))[0]
    assert float(silent[-1].unique()) == pytest.approx((LOG_FLOOR - FRONT_END.mean) / (2 * FRONT_END.std))
    assert float(FRONT_END(RawBatch(raw_bank(wave), None, None))[0, -1].unique()) == pytest.approx(0.618349328)


def test_draws_have_the_reference_distributions() -> None:
    draws = draw(np.random.default_rng(0), 20_000, mixup=0.6)
    mixed = draws.partner != UNMIXED
    assert mixed.mean() == pytest.approx(0.6, abs=0.02)
    assert (draws.weight[~mixed] == 1).all()
    assert stats.kstest(draws.weight[mixed], stats.beta(10, 10).cdf).pvalue > 0.01
    assert stats.kstest(draws.partner[mixed] / 20_000, "uniform").pvalue > 0.01
    assert stats.kstest(draws.gain * 10, "uniform").pvalue > 0.01
    counts = np.bincount(draws.roll + MAX_ROLL)
    assert len(counts) == 20  # -10 to 9, as the reference's randint
    assert stats.chisquare(counts).pvalue > 0.01
    assert len(np.unique(draws.noise_seed)) == len(draws)


def test_masks_have_the_reference_distribution() -> None:
    draws = draw(np.random.default_rng(0), 4000, mixup=0.0)
    starts, ends = spans(draws.time, 48, 128)
    torch.manual_seed(0)
    theirs = [torchaudio.functional.mask_along_axis(torch.ones(1, 1, 128), 48, 0.0, axis=2)[0, 0] for _ in range(4000)]
    widths = [int((row == 0).sum()) for row in theirs]
    first = [int((row == 0).nonzero()[0]) for row in theirs if (row == 0).any()]
    assert stats.ks_2samp(ends - starts, widths).pvalue > 0.01
    assert stats.ks_2samp(starts[ends > starts], first).pvalue > 0.01


def test_draws_of_a_clip_do_not_depend_on_mixup_being_on() -> None:
    plain, mixed = (draw(np.random.default_rng(0), 50, mixup) for mixup in (0.0, 0.5))
    assert np.array_equal(plain.freq, mixed.freq)
    assert np.array_equal(plain.noise_seed, mixed.noise_seed)


def test_a_batch_of_mixed_and_clean_clips(tmp_path: Path) -> None:
    """The loader gives the front end what it needs: rows, partners, shares, targets."""
    rng = np.random.default_rng(0)
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.wav", rng.normal(0, 0.1, 9000 + 1000 * ord(name)), RATE, subtype="FLOAT")
    clips = [Clip(f"{name}.wav", 0, (label,)) for label, name in enumerate("abc")]
    recordings = AudioStore(tmp_path, None, 128)
    ready = Clips(recordings, clips, 3, replace(FRONT_END, freq_mask=0, time_mask=0))
    draws = draw(np.random.default_rng(0), 3, 0.0)
    draws = replace(draws, partner=np.array([UNMIXED, 0, UNMIXED]), weight=np.array([1.0, 0.25, 1.0]))
    order = np.array([2, 1, 0])
    raw, targets, observed = ready[order.tolist(), draws.take(order)]
    assert targets.tolist() == [[0, 0, 1], [0.75, 0.25, 0], [1, 0, 0]]
    assert observed.min() == 1
    features = ready.front_end(raw)
    clean = ready.front_end(ready[[0, 1, 2], None].raw)
    torch.testing.assert_close(features[[0, 2]], clean[[2, 0]])
    first, second = (remove_mean(torch.from_numpy(recordings.wave(clip))) for clip in (clips[1], clips[0]))
    mixed = remove_mean(0.25 * first + 0.75 * torch.nn.functional.pad(second, (0, len(first) - len(second))))
    torch.testing.assert_close(features[1], ready.front_end(RawBatch(raw_bank(mixed), None, None))[0], **NEAR)
