"""The corpus for pre-training shares nothing with the datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.data.datasets.corpus import CLASSES, CORPUS, FIRST, RATE, SPOKEN, make_sound
from benchmark.data.datasets.folder import Folder
from benchmark.data.registry import datasets, get_dataset
from benchmark.data.synthetic import record, scene, spoken
from benchmark.data.synthetic.sound import convolved
from benchmark.data.synthetic.speech import FRICATIVES, PHONES, VOWELS
from benchmark.data.synthetic.spoken import WORDS, is_installed
from benchmark.errors import BenchmarkError


def phones(label: int) -> tuple[int, ...]:
    """What a word is made of, as the generator draws it."""
    drawn = np.random.default_rng([label, 9]).integers(len(VOWELS) * len(FRICATIVES), size=PHONES)
    return tuple(drawn.tolist())


def test_no_class_is_one_of_a_dataset() -> None:
    most = max(len(dataset.info.classes) for dataset in datasets().values())
    assert all(int(name.rpartition("-")[2]) >= FIRST > most for name in CLASSES)
    words = {phones(int(name.rpartition("-")[2])) for name in CLASSES if name.startswith("word")}
    assert len(words) == 100
    assert not words & {phones(label) for label in range(most)}


def test_it_is_read_as_a_folder_of_ones_own_and_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.data.datasets.corpus.is_installed", lambda: True)
    monkeypatch.setattr("benchmark.data.datasets.corpus.make_sound", lambda *_: np.zeros(100, np.float32))
    CORPUS.synthesize(tmp_path, classes=20, clips_per_class=2, seed=0, seconds=0.3)
    manifest = Folder("pretraining").manifest(tmp_path)
    assert manifest.kind == "synthetic"
    assert len(manifest.info.classes) == 20
    assert {name.partition("-")[0] for name in manifest.info.classes} == {
        "event", "genre", "instrument", "scene", "spoken", "texture", "word",
    }  # fmt: skip
    assert {name: len(clips) for name, clips in manifest.splits(0).items()} == {"train": 20, "test": 20}


KINDS = sorted({name.partition("-")[0] for name in CLASSES})


@pytest.mark.parametrize("kind", KINDS)
def test_clips_are_repeatable_differ_and_can_be_heard(kind: str) -> None:
    if kind == SPOKEN and not is_installed():
        pytest.skip("espeak-ng is not installed")
    names = [f"{kind}-{FIRST + number}" for number in range(3)]
    clips = {(name, seed): make_sound(name, seed, 0.6) for name in names for seed in (1, 2)}
    for (name, seed), wave in clips.items():
        assert wave.dtype == np.float32
        assert 0.2 <= np.abs(wave).max() <= 0.8
        assert np.array_equal(wave, make_sound(name, seed, 0.6))
    waves = [wave[: int(0.4 * RATE)].tobytes() for wave in clips.values()]
    assert len(set(waves)) == len(waves)


def test_no_scene_is_silent() -> None:
    assert all(np.abs(scene(FIRST + label, label, 1.28, RATE)).max() >= 0.2 for label in range(360))


def test_scenes_of_a_class_sound_more_alike_than_others() -> None:
    """Nearest neighbours by mean spectrum, far above chance, though far from certain: pitch, level and room vary."""
    classes, clips = 30, 4
    spectra = np.stack([
        np.log1p(np.abs(np.fft.rfft(scene(FIRST + label, seed, 0.6, RATE)))[: 4800 - 4800 % 40].reshape(-1, 40).mean(1))
        for label in range(classes)
        for seed in range(clips)
    ])  # fmt: skip
    labels = np.repeat(np.arange(classes), clips)
    distances = np.linalg.norm(spectra[:, None] - spectra[None], axis=2) + np.diag(np.full(len(labels), np.inf))
    hits = float((labels[distances.argmin(1)] == labels).mean())
    assert 0.3 < hits < 1


def test_a_recording_keeps_its_sound() -> None:
    """Rooms and microphones change a tone, but it stays what is heard in most clips."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE // 2) / RATE).astype(np.float32)
    loudest = [np.abs(np.fft.rfft(record(tone, seed, RATE))).argmax() * RATE / len(tone) for seed in range(20)]
    assert sum(abs(frequency - 1000) < 10 for frequency in loudest) >= 16


def test_a_convolution_begins_as_the_whole_one() -> None:
    rng = np.random.default_rng(0)
    for sizes in ((1, 1), (5, 9), (300, 17), (64, 65)):
        wave, response = (rng.standard_normal(size) for size in sizes)
        assert convolved(wave, response) == pytest.approx(np.convolve(wave, response)[: len(wave)])


def test_words_of_speech_commands_are_not_spoken() -> None:
    taken = set(get_dataset("speech_commands_v2").info.classes) | set(get_dataset("speech_commands_v1").info.classes)
    assert not taken & set(WORDS)
    assert len(set(WORDS)) == len(WORDS)


def test_spoken_words_are_left_out_without_the_synthesizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    CORPUS.synthesize(tmp_path, classes=20, clips_per_class=2, seed=0, seconds=0.3)
    kinds = {name.partition("-")[0] for name in Folder("pretraining").manifest(tmp_path).info.classes}
    assert kinds == set(KINDS) - {SPOKEN}
    assert "espeak-ng is not installed" in caplog.text
    with pytest.raises(BenchmarkError, match="cannot speak 'able'"):
        spoken(0, 0, 0.5, RATE)
