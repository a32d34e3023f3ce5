"""Synthetic trees: official layouts, repeatable, learnable but not trivial."""

from __future__ import annotations

import filecmp
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmark.data.audio_store import AudioStore
from benchmark.data.dataset import Synthesizable, tally
from benchmark.data.datasets.speech_commands import which_set
from benchmark.data.registry import datasets, get_dataset
from benchmark.errors import BenchmarkError

CLASSES, CLIPS = 4, 1


def synthesizable(name: str) -> Synthesizable:
    dataset = get_dataset(name)
    assert isinstance(dataset, Synthesizable)
    return dataset


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All six, four classes, one clip of each in every fold or split."""
    place = tmp_path_factory.mktemp("synthetic")
    for name in datasets():
        synthesizable(name).synthesize(place, classes=CLASSES, clips_per_class=CLIPS, seed=1)
    return place


@pytest.mark.parametrize("name", sorted(datasets()))
def test_the_official_loader_reads_it(name: str, root: Path) -> None:
    manifest = get_dataset(name).manifest(root)
    info = manifest.info
    assert manifest.kind == "synthetic"
    counts = tally(manifest)
    units = [str(unit) for unit in info.folds or info.splits]
    assert counts["fold" if info.folds else "split"] == dict.fromkeys(units, CLASSES * CLIPS)
    if info.multi_label:
        assert all(1 <= len(clip.labels) <= 3 for clip in manifest.clips)
        assert all(len(clip.observed or ()) > len(clip.labels) for clip in manifest.clips)
    else:
        assert list(counts["class"].values()) == [CLIPS * len(units)] * CLASSES + [0] * (len(info.classes) - CLASSES)


@pytest.mark.parametrize("name", sorted(datasets()))
def test_length_and_format_are_the_official_ones(name: str, root: Path) -> None:
    manifest = get_dataset(name).manifest(root)
    headers = [soundfile.info(manifest.folder / clip.path) for clip in manifest.clips]
    formats = {(each.format, each.samplerate, each.channels) for each in headers}
    seconds = [each.duration for each in headers]
    expected = {
        "esc50": ({("WAV", 44_100, 1)}, 5, 5),
        "gtzan": ({("WAV", 22_050, 1)}, 30, 30),
        "openmic": ({("OGG", 44_100, 2)}, 10, 10),
        "speech_commands_v1": ({("WAV", 16_000, 1)}, 0.8, 1),
        "speech_commands_v2": ({("WAV", 16_000, 1)}, 0.8, 1),
    }
    if name == "urbansound8k":
        assert len({(each.subtype, each.samplerate, each.channels) for each in headers}) > 8
        assert {"PCM_16", "PCM_24"} < {each.subtype for each in headers}
        assert min(seconds) < 2
        assert 3.9 < max(seconds) < 4.1  # ADPCM pads its last block
        return
    shapes, shortest, longest = expected[name]
    assert formats == shapes
    assert shortest - 0.01 <= min(seconds) <= max(seconds) <= longest + 0.01


def test_words_are_split_by_the_publishers_rule(root: Path) -> None:
    for version in (1, 2):
        manifest = get_dataset(f"speech_commands_v{version}").manifest(root)
        assert all(which_set(clip.path) == clip.split for clip in manifest.clips)
        assert (manifest.folder / "_background_noise_").is_dir()


@pytest.mark.parametrize("name", ["urbansound8k", "speech_commands_v1", "openmic"])
def test_the_seed_decides_every_byte(name: str, root: Path, tmp_path: Path) -> None:
    again = synthesizable(name).synthesize(tmp_path / "a", classes=CLASSES, clips_per_class=CLIPS, seed=1)
    other = synthesizable(name).synthesize(tmp_path / "b", classes=CLASSES, clips_per_class=CLIPS, seed=2)
    manifest = get_dataset(name).manifest(root)
    paths = [clip.path for clip in manifest.clips]
    if name != "openmic":  # an Ogg stream has a random serial number
        assert filecmp.cmpfiles(manifest.folder, again, paths, shallow=False)[0] == paths
    first = [soundfile.read(folder / paths[0])[0] for folder in (manifest.folder, again)]
    assert np.array_equal(*first)
    audio = [path for path in other.rglob("*.*") if path.suffix in {".wav", ".ogg"}]
    known = {(manifest.folder / path).read_bytes() for path in paths}
    assert audio
    assert not any(path.read_bytes() in known for path in audio)


@pytest.mark.parametrize(
    "name", ["esc50", pytest.param("gtzan", marks=pytest.mark.slow), "speech_commands_v1", "urbansound8k"]
)
def test_classes_can_be_learnt_but_not_by_chance(name: str, tmp_path: Path) -> None:
    """A linear probe on means and deviations of filter banks, trained on some folds or splits, tested on another."""
    synthesizable(name).synthesize(tmp_path, classes=8, clips_per_class=2 if name == "urbansound8k" else 5, seed=0)
    manifest = get_dataset(name).manifest(tmp_path)
    audio_store = AudioStore(manifest.folder, None, 64)
    banks = [audio_store.bank(clip) for clip in manifest.clips]
    features = np.array([np.concatenate([bank.mean(0), bank.std(0)]) for bank in banks])
    labels = np.array([clip.labels[0] for clip in manifest.clips])
    test = np.zeros(len(labels), bool)
    test[manifest.splits(manifest.info.fold_units[0])["test"]] = True
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(features[~test], labels[~test])
    score = probe.score(features[test], labels[test])
    assert score > 0.3  # chance is 0.125
    constant = np.bincount(labels).max() / len(labels)
    assert score > 2 * constant


def test_too_many_classes_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="GTZAN has 10 classes, 11 were requested"):
        synthesizable("gtzan").synthesize(tmp_path, classes=11, clips_per_class=1, seed=0)
    assert not list(tmp_path.iterdir())
