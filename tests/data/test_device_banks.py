"""Filter banks in the memory of a device give the numbers that reading them gives; here the device is a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from benchmark.data.audio import RATE, BadAudioError
from benchmark.data.audio_store import AudioStore
from benchmark.data.device_banks import held_bytes, hold
from benchmark.data.frontend import LOG_FLOOR, FrontEnd
from benchmark.data.loader import Batch, Batches, Clips, evaluation_batches, training_batches
from benchmark.data.manifest import Clip
from benchmark.data.order import TrainingOrder

CPU = torch.device("cpu")
SAMPLES = (300, 5_000, 8_000, 10_640, 10_641, 16_000, 20_000)  # shorter than, as long as and longer than 64 frames
FRONT_END = FrontEnd(128, 64, -6.6, 5.3, 24, 12, 0.0, noise=False)


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> AudioStore:
    folder = tmp_path_factory.mktemp("data")
    for number, samples in enumerate(SAMPLES):
        wave = np.random.default_rng(number).normal(0, 0.1, samples)
        soundfile.write(folder / f"{number}.wav", wave, RATE, subtype="FLOAT")
    return AudioStore(folder, tmp_path_factory.mktemp("cache"), 128)


def splits(audio: AudioStore, front_end: FrontEnd = FRONT_END) -> dict[str, Clips]:
    """Some clips are in both splits, as in OpenMIC's reference protocol, and in another order."""
    every = [
        Clip(f"{number}.wav", 0, (number % 3,), observed=(0, number % 3) if number % 2 else None)
        for number in range(len(SAMPLES))
    ]
    chosen = {"train": every[:5], "test": every[:2:-1]}
    return {name: Clips(audio, clips, 3, front_end) for name, clips in chosen.items()}


def epoch(clips: Clips, mixup: float) -> Batches:
    order = TrainingOrder(len(clips), 2, mixup)
    order.set_epoch(3, 4)
    return training_batches(clips, order, None, CPU)


def equal(one: Iterator[Batch] | Batches, other: Iterator[Batch] | Batches) -> bool:
    pairs = [(a, b) for first, second in zip(one, other, strict=True) for a, b in zip(first, second, strict=True)]
    return bool(pairs) and all(torch.equal(a, b) and a.dtype == b.dtype for a, b in pairs)


@pytest.mark.parametrize("fill", [0.0, LOG_FLOOR])
@pytest.mark.parametrize("noise", [False, True])  # with noise, banks are rolled
@pytest.mark.parametrize("mixup", [0.0, 0.5, 1.0])
def test_batches_are_equal_bit_for_bit(audio: AudioStore, fill: float, noise: bool, mixup: float) -> None:
    read = splits(audio, replace(FRONT_END, fill=fill, noise=noise))
    held = hold(read, CPU, 2)
    for _ in range(2):  # what is held is not changed by an epoch
        assert equal(epoch(held["train"], mixup), epoch(read["train"], mixup))
        assert equal(evaluation_batches(held["test"], 1, None, CPU), evaluation_batches(read["test"], 1, None, CPU))


def test_no_masks_no_augmentation_and_no_cache_are_equal_too(audio: AudioStore) -> None:
    plain = replace(FRONT_END, freq_mask=0, time_mask=0)
    read, uncached = splits(audio, plain), splits(AudioStore(audio.folder, None, 128), plain)
    assert equal(epoch(hold(uncached, CPU, 1)["train"], 0.0), epoch(read["train"], 0.0))


def test_a_clip_of_two_splits_is_held_once_and_its_size_is_known_before(audio: AudioStore) -> None:
    read = splits(audio)
    held = hold(read, CPU, 1)
    banks = held["train"].held, held["test"].held
    assert banks[0] is not None
    assert banks[1] is not None
    assert banks[0].banks is banks[1].banks
    assert banks[0].banks.shape == (7, 64, 128)
    assert held_bytes(read) == banks[0].banks.nbytes == 7 * 64 * 128 * 4


def test_only_mixed_waveforms_are_read_after_that(audio: AudioStore, monkeypatch: pytest.MonkeyPatch) -> None:
    held = hold(splits(audio), CPU, 1)
    waves: list[str] = []
    original = AudioStore.wave

    def wave(self: AudioStore, clip: Clip) -> np.ndarray:
        waves.append(clip.path)
        return original(self, clip)

    def bank(self: AudioStore, clip: Clip) -> np.ndarray:
        raise AssertionError(clip.path)

    monkeypatch.setattr(AudioStore, "wave", wave)
    monkeypatch.setattr(AudioStore, "bank", bank)
    list(epoch(held["train"], 0.0))
    list(evaluation_batches(held["test"], 1, None, CPU))
    assert waves == []
    order = TrainingOrder(5, 5, 0.5)
    order.set_epoch(3, 4)
    [(_, draws)] = order
    assert draws is not None
    mixed = int((draws.partner >= 0).sum())
    list(training_batches(held["train"], order, None, CPU))
    assert len(waves) == 2 * mixed
    assert 0 < mixed < 5


def test_a_worker_sends_no_banks_that_the_device_holds(audio: AudioStore) -> None:
    """`DataWorkers` does the same in other processes."""
    from benchmark.data.workers import _Queue, _Reader

    class Here:
        def load(self, items: Iterator) -> Iterator:
            queue, reader = _Queue(), _Reader(b"")
            queue.items, reader._audio = items, audio
            for work in list(queue):  # all are asked for before the first is there
                loaded = reader[work]
                assert len(loaded.raw.banks) == (0 if held["train"].held else 2)
                yield loaded

    held = hold(splits(audio, replace(FRONT_END, noise=True)), CPU, 1)
    order = TrainingOrder(4, 2, 0.5)
    order.set_epoch(3, 4)
    in_workers = training_batches(held["train"], order, Here(), CPU)  # type: ignore[arg-type]
    assert equal(in_workers, training_batches(splits(audio, held["train"].front_end)["train"], order, None, CPU))


def test_a_bad_file_is_reported_when_banks_are_read(audio: AudioStore, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    clips = Clips(AudioStore(tmp_path, None, 128), [Clip("bad.wav", 0, (0,))], 1, FRONT_END)
    with pytest.raises(BadAudioError, match=r"bad\.wav"):
        hold({"train": clips}, CPU, 2)
