"""The front end against the reference's numbers, and its random parts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data.augmentation import Draws, draw
from benchmark.data.frontend import LOG_FLOOR, FrontEnd, filter_bank, mask, mix, pad_or_cut, remove_mean

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "golden.json").read_text())["frontend"]
FRONT_END = FrontEnd(
    mels=128, frames=128, mean=-6.6268077, std=5.358466, freq_mask=24, time_mask=48, fill=0.0, noise=False
)
DRAWS = Draws(partner=None, weight=1.0, freq=(0.5, 0.5), time=(0.5, 0.5), gain=0.05, noise_seed=3, roll=-4)


def waveform(seed: int, samples: int) -> torch.Tensor:
    """The golden file's rule for waveforms, decoded and mean-free."""
    r, t = np.random.RandomState(seed), np.arange(samples) / 16000
    x = 0.1 * r.standard_normal(samples) + 0.3 * np.sin(2 * np.pi * 440 * t)
    x = np.clip(x + 0.2 * np.sin(2 * np.pi * 3100 * t + 1) + 0.01, -1, 1)
    return remove_mean(torch.from_numpy((np.round(x * 32767).astype(np.int16) / 32768).astype(np.float32)))


@pytest.mark.parametrize("case", GOLDEN["fbank"], ids=lambda case: f"{case['samples']}-{case['target_length']}")
def test_filter_banks_are_the_reference_ones(case: dict) -> None:
    wave = waveform(case["seed"], case["samples"])
    bank = pad_or_cut(filter_bank(wave, 128), case["target_length"], 0.0)
    expected = case["unnormalised"]
    assert list(bank.shape) == expected["shape"]
    for place, value in expected["at"].items():
        row, column = map(int, place.split(","))
        assert float(bank[row, column]) == pytest.approx(value, abs=1e-4)
    np.testing.assert_allclose(bank[:8].mean(1), expected["row_means_first8"], atol=1e-4)
    np.testing.assert_allclose(bank.mean(0)[::16], expected["col_means_every16"], atol=1e-4)
    assert int((bank == 0).all(1).sum()) == expected["n_zero_rows"]
    normalised = replace(FRONT_END, frames=case["target_length"])(wave)
    assert float(normalised.double().sum()) == pytest.approx(
        case["normalised_mean-6.6268077_std5.358466"]["sum"], rel=1e-6
    )


@pytest.mark.parametrize("samples", [1, 399, 400, 559, 560])
def test_clips_shorter_than_a_window_do_not_fail(samples: int) -> None:
    assert filter_bank(torch.zeros(samples), 128).shape == (1 if samples < 560 else 2, 128)


def test_digital_silence_has_the_floor() -> None:
    assert float(filter_bank(torch.zeros(1000), 128).unique()) == pytest.approx(LOG_FLOOR, abs=1e-4)


def test_masks_are_placed_like_torchaudio_places_them() -> None:
    bank = torch.ones(100, 128)
    mask(bank, dim=1, bound=24, draws=(0.5, 0.25), fill=0.0)  # width 12, start 0.25 * (128 - 12) = 29
    assert (bank == 0).all(0).nonzero().flatten().tolist() == list(range(29, 41))


def test_mixup_keeps_the_length_of_the_first() -> None:
    first, second = remove_mean(torch.randn(1000)), remove_mean(torch.randn(600))
    mixed = mix(first, second, 0.3)
    assert len(mixed) == 1000
    padded = torch.cat([second, torch.zeros(400)])
    torch.testing.assert_close(mixed, remove_mean(0.3 * first + 0.7 * padded))


def test_noise_is_positive_and_then_rolled() -> None:
    wave = waveform(1, 16000)
    clean = FRONT_END(wave)
    noisy = replace(FRONT_END, noise=True, freq_mask=0, time_mask=0)(wave, DRAWS)
    added = torch.roll(noisy, 4, dims=0) - clean
    assert float(added.min()) >= -1e-6
    assert float(added.max()) <= 0.05 + 1e-6
    assert float(added.mean()) == pytest.approx(0.025, rel=0.1)


def test_augmentation_happens_only_with_draws() -> None:
    wave = waveform(1, 16000)
    assert torch.equal(replace(FRONT_END, noise=True)(wave), FRONT_END(wave))
    assert not torch.equal(FRONT_END(wave, DRAWS), FRONT_END(wave))


def test_padding_may_be_silence_instead() -> None:
    bank = replace(FRONT_END, fill=LOG_FLOOR)(waveform(1, 8000))
    assert float(bank[-1].unique()) == pytest.approx((LOG_FLOOR - FRONT_END.mean) / (2 * FRONT_END.std))
    assert float(FRONT_END(waveform(1, 8000))[-1].unique()) == pytest.approx(0.618349328)


def test_draws_have_the_reference_distributions() -> None:
    draws = draw(np.random.default_rng(0), 20_000, mixup=0.6)
    mixed = [d for d in draws if d.partner is not None]
    assert len(mixed) / len(draws) == pytest.approx(0.6, abs=0.02)
    assert all(d.weight == 1.0 for d in draws if d.partner is None)
    weights = np.array([d.weight for d in mixed])
    assert weights.mean() == pytest.approx(0.5, abs=0.005)
    assert weights.var() == pytest.approx(1 / 84, rel=0.05)  # beta(10, 10)
    assert {d.roll for d in draws} == set(range(-10, 10))
    assert max(d.gain for d in draws) < 0.1
    widths = {int(d.freq[0] * 24) for d in draws}
    assert widths == set(range(24))
    assert len({d.noise_seed for d in draws}) == len(draws)


def test_draws_of_a_clip_do_not_depend_on_mixup_being_on() -> None:
    plain, mixed = (draw(np.random.default_rng(0), 50, mixup) for mixup in (0.0, 0.5))
    assert [d.freq for d in plain] == [d.freq for d in mixed]
