"""The corpus for pre-training shares nothing with the datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.data.datasets.corpus import CLASSES, CORPUS, FIRST
from benchmark.data.datasets.folder import Folder
from benchmark.data.registry import datasets
from benchmark.data.synthetic.speech import FRICATIVES, PHONES, VOWELS


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


def test_it_is_read_as_a_folder_of_ones_own_and_marked(tmp_path: Path) -> None:
    CORPUS.synthesize(tmp_path, classes=20, clips_per_class=2, seed=0, seconds=0.3)
    manifest = Folder("pretraining").manifest(tmp_path)
    assert manifest.kind == "synthetic"
    assert len(manifest.info.classes) == 20
    assert {name.partition("-")[0] for name in manifest.info.classes} == {
        "event", "genre", "instrument", "texture", "word",
    }  # fmt: skip
    assert {name: len(clips) for name, clips in manifest.splits(0).items()} == {"train": 20, "test": 20}
