"""Windows of long recordings: where they are, and that every way of reading them gives the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from benchmark.data.audio import RATE
from benchmark.data.audio_store import AudioStore
from benchmark.data.device_banks import hold
from benchmark.data.frontend import FrontEnd
from benchmark.data.loader import Batch, Batches, Clips, evaluation_batches, training_batches
from benchmark.data.manifest import Clip
from benchmark.data.order import TrainingOrder, balanced_shares
from benchmark.data.windows import Windows, cut, movable
from benchmark.data.workers import DataWorkers

CPU = torch.device("cpu")
FRAMES = 32
LENGTHS = (20, 32, 33, 64, 100)  # frames
FRONT_END = FrontEnd(128, FRAMES, -6.6, 5.3, 0, 0, 0.0, noise=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number, frames in enumerate(LENGTHS):
        wave = np.random.default_rng(number).normal(0.01, 0.1, 400 + 160 * (frames - 1))
        soundfile.write(folder / f"{number}.wav", wave, RATE, subtype="FLOAT")
    return folder


@pytest.fixture(scope="module", params=["cached", "decoded"])
def audio(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> AudioStore:
    if request.param == "decoded":
        return AudioStore(folder, None, 128)
    cached = AudioStore(folder, tmp_path_factory.mktemp("cache"), 128)
    clips = [Clip.at(folder, f"{number}.wav", (0,), place="") for number in range(len(LENGTHS))]
    cached.lacking(clips, {clip.path for clip in clips})
    cached.fill(clips, {clip.path for clip in clips}, stop=True)
    return cached


def windowed(audio: AudioStore, windows: Windows) -> Clips:
    clips = [Clip.at(audio.folder, f"{number}.wav", (number % 3,), place="") for number in range(len(LENGTHS))]
    repeated = [clip for clip, count in zip(clips, windows.counts.tolist(), strict=True) for _ in range(count)]
    return Clips(audio, repeated, 3, FRONT_END, windows=windows)


def test_windows_are_spread_from_the_beginning_to_the_end() -> None:
    windows = cut(LENGTHS, FRAMES)
    assert windows.counts.tolist() == [1, 1, 2, 2, 4]
    assert windows.starts.tolist() == [0, 0, 0, 1, 0, 32, 0, 22, 45, 68]
    assert windows.firsts.tolist() == [0, 1, 2, 4, 6]
    assert not windows.move
    moved = movable(LENGTHS, FRAMES)
    assert moved.spare.tolist() == [0, 0, 1, 32, 68]
    assert moved.move
    assert not movable([20, 32], FRAMES).move


def test_averages_are_over_the_windows_of_a_recording() -> None:
    windows = cut((32, 64, 65), FRAMES)
    values = torch.arange(12.0).view(6, 2)
    expected = torch.stack([values[0], values[1:3].mean(0), values[3:].mean(0)])
    assert torch.equal(windows.average(values), expected)


def batches_of(batches: Batches) -> list[Batch]:
    return list(batches)


def equal(one: list[Batch], other: list[Batch]) -> bool:
    pairs = [(a, b) for first, second in zip(one, other, strict=True) for a, b in zip(first, second, strict=True)]
    return bool(pairs) and all(torch.equal(a, b) for a, b in pairs)


def test_every_window_is_read(audio: AudioStore) -> None:
    clips = windowed(audio, cut(LENGTHS, FRAMES))
    features = torch.cat([batch[0] for batch in evaluation_batches(clips, 2, None, CPU)])
    assert len(clips) == len(features) == 10
    assert [clip.path for clip in clips.recordings] == [f"{number}.wav" for number in range(len(LENGTHS))]
    for row, clip, start in zip(features, clips.clips, clips.windows.starts, strict=True):  # type: ignore[union-attr]
        assert audio.frames(clip) == LENGTHS[int(clip.path[0])]
        bank = torch.from_numpy(audio.bank(clip)[start : start + FRAMES])
        assert torch.equal(row[: len(bank)], (bank - FRONT_END.mean) * (1 / (2 * FRONT_END.std)))


@pytest.mark.parametrize("mixup", [0.0, 1.0])
@pytest.mark.parametrize("windows", [cut(LENGTHS, FRAMES), movable(LENGTHS, FRAMES)], ids=["all", "random"])
def test_workers_and_devices_read_the_same(audio: AudioStore, windows: Windows, mixup: float) -> None:
    clips = windowed(audio, windows)

    def epoch(clips: Clips, workers: DataWorkers | None = None) -> list[Batch]:
        order = TrainingOrder(len(clips), 3, mixup, spare=windows.spare)
        order.set_epoch(3, 4)
        return batches_of(training_batches(clips, order, workers, CPU))

    expected = epoch(clips)
    parts = [clips.part(item) for item in items(clips, mixup)]  # what a worker gets
    for (part, local), (features, _, _) in zip(parts, expected, strict=True):
        assert torch.equal(part.front_end(part[local].raw, CPU), features)
    if not windows.move:
        assert equal(epoch(hold({"train": clips}, CPU, 1)["train"]), expected)


def items(clips: Clips, mixup: float) -> Iterator:
    assert clips.windows is not None
    order = TrainingOrder(len(clips), 3, mixup, spare=clips.windows.spare)
    order.set_epoch(3, 4)
    return iter(order)


def test_a_mixture_is_of_the_windows_of_both_clips(audio: AudioStore) -> None:
    """Mixed with itself at its own window, a clip gives the filter bank of that window."""
    clips = windowed(audio, movable(LENGTHS, FRAMES))
    [(positions, draws)] = items_at_once(clips)
    draws.partner[:] = positions
    draws.partner_start[:] = draws.start
    features = clips.front_end(clips[positions, draws].raw, CPU)
    for row, position, start in zip(features, positions, draws.start.tolist(), strict=True):
        bank = torch.from_numpy(audio.bank(clips.clips[position], start, FRAMES))
        expected = (bank - FRONT_END.mean) / (2 * FRONT_END.std)
        torch.testing.assert_close(row[: len(bank)], expected, atol=2e-3, rtol=0)
    assert draws.start.any()


def items_at_once(clips: Clips) -> list:
    order = TrainingOrder(len(clips), len(clips), 1.0, spare=clips.windows and clips.windows.spare)
    order.set_epoch(1, 2)
    return list(order)


def test_random_windows_are_all_places_and_new_in_every_epoch() -> None:
    spare = np.array([0, 3])
    order, seen = TrainingOrder(2, 2, 0.0, spare=spare), set()
    for seed in range(60):
        order.set_epoch(seed, seed)
        [(positions, draws)] = order
        assert draws is not None
        seen |= set(zip(positions, draws.start.tolist(), strict=True))
        order.set_epoch(seed, seed)
        assert next(iter(order))[1].start.tolist() == draws.start.tolist()  # type: ignore[union-attr]
    assert seen == {(0, 0), (1, 0), (1, 1), (1, 2), (1, 3)}


def test_windows_change_no_other_draw() -> None:
    one, other = TrainingOrder(50, 8, 0.5), TrainingOrder(50, 8, 0.5, spare=np.full(50, 9))
    for order in (one, other):
        order.set_epoch(5, 6)
    for (positions, draws), (moved, also) in zip(one, other, strict=True):
        assert positions == moved
        assert draws is not None
        assert also is not None
        assert np.array_equal(draws.freq, also.freq)
        assert np.array_equal(draws.partner, also.partner)
        assert not draws.start.any()


def test_balanced_sampling_draws_all_classes_equally_often() -> None:
    """As a WeightedRandomSampler; a clip that is drawn twice is augmented in two ways."""
    labels = np.zeros((60, 3), bool)
    labels[:40, 0] = labels[40:55, 1] = labels[55:, 2] = True
    shares = balanced_shares(np.stack([labels, np.ones_like(labels)]))
    assert [float(shares[labels[:, column]].sum()) for column in range(3)] == pytest.approx([1 / 3] * 3)
    order = TrainingOrder(60, 60, 0.0, shares=shares)
    drawn = np.zeros(3)
    for seed in range(30):
        order.set_epoch(seed, seed)
        [(positions, draws)] = order
        assert draws is not None
        drawn += labels[positions].sum(0)
        assert len(np.unique(draws.noise_seed)) == 60
    assert drawn.sum() == 1800
    assert abs(drawn / 1800 - 1 / 3).max() < 0.05
    none = balanced_shares(np.zeros((2, 4, 3), bool))  # clips without labels
    assert none.tolist() == [0.25] * 4
