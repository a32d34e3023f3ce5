"""All six loaders on trees of full size: exact counts, exact splits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from benchmark.data.dataset import tally
from benchmark.data.datasets.speech_commands import which_set
from benchmark.data.registry import get_dataset
from tests.data import official_trees as trees

TREES: dict[str, Callable[[Path], None]] = {
    "esc50": trees.write_esc50,
    "urbansound8k": trees.write_urbansound8k,
    "speech_commands_v1": partial(trees.write_speech_commands, version=1),
    "speech_commands_v2": partial(trees.write_speech_commands, version=2),
    "gtzan": trees.write_gtzan,
    "openmic": trees.write_openmic,
}
SIZES = {
    "esc50": {"train": 1600, "test": 400},
    "speech_commands_v1": {"train": 51_088, "validation": 6_798, "test": 6_835},
    "speech_commands_v2": {"train": 84_843, "validation": 9_981, "test": 11_005},
    "gtzan": {"train": 443, "validation": 197, "test": 290},
    "openmic": {"train": 14_915, "test": 5_085},
}
US8K_FOLDS = (873, 888, 925, 990, 936, 823, 838, 806, 816, 837)


MANY = {"speech_commands_v1", "speech_commands_v2"}  # tens of thousands of files


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in MANY else name for name in TREES]
)
def test_a_tree_of_full_size_is_complete(name: str, tmp_path: Path) -> None:
    TREES[name](tmp_path)
    manifest = get_dataset(name).manifest(tmp_path)
    info = manifest.info
    assert (manifest.kind, len(manifest.clips)) == ("complete", info.clips)
    assert len({clip.path for clip in manifest.clips}) == info.clips
    counts = tally(manifest)
    for kind, expected in info.published.items():
        assert counts[kind] == expected
    for number, fold in enumerate(info.fold_units):
        splits = manifest.splits(fold)
        test = US8K_FOLDS[number] if name == "urbansound8k" else SIZES[name]["test"]
        assert len(splits["test"]) == test
        if name in SIZES:
            assert {split: len(indices) for split, indices in splits.items()} == SIZES[name]
        indices = [index for each in splits.values() for index in each]
        assert sorted(indices) == list(range(info.clips))  # every clip in exactly one split


def test_gtzan_in_its_other_layout(tmp_path: Path) -> None:
    trees.write_gtzan(tmp_path, "genres_original")
    manifest = get_dataset("gtzan").manifest(tmp_path)
    assert manifest.kind == "complete"
    assert len(get_dataset("gtzan").audio_files(manifest)) == 1000


def test_openmic_has_41268_annotations(tmp_path: Path) -> None:
    trees.write_openmic(tmp_path)
    clips = get_dataset("openmic").manifest(tmp_path).clips
    assert sum(len(clip.observed or ()) for clip in clips) == 41_268


# WORD/SPEAKER/NUMBER, drawn from the lists of the published archive v0.01
TEST = """
bed/68dd409e/0 bed/84d1e469/0 down/587f3271/1 down/c22d3f18/4
eight/aef8dcf5/0 eight/f5496439/0 five/6b889021/0 go/43fc47a7/0
happy/8a325749/1 left/1b4c9b89/0 left/e9901cf0/0 marvin/a60a09cf/1
no/37dca74f/2 no/863880b7/0 on/94de6a6a/4 sheila/7e1054e7/0
six/3c165869/0 stop/0c40e715/1 three/563aa4e6/4 three/b737ee80/1
tree/0c40e715/0 two/f428ca69/0 wow/1fe4c891/1 yes/5e3dde6b/4
"""
VALIDATION = """
bird/96c67073/2 dog/9cde5de8/0 dog/a7dd45cf/0 eight/1657c9fa/0
eight/6b81fead/1 five/ec74a8a5/0 four/e54a0f16/3 house/026290a7/0
left/060cd039/0 off/c013fe4d/0 off/e54a0f16/1 on/258f4559/0
one/dca2797e/3 right/1aed7c6d/2 sheila/ad63d93c/0 six/52bfbce8/1
tree/27b9a84f/0 tree/44bc77f7/2 two/cc6bae0d/0 up/264f471d/2
up/5fadb538/0 yes/62641b88/0 zero/3903b558/0 zero/bdee441c/4
"""


@pytest.mark.parametrize(("split", "listed"), [("test", TEST), ("validation", VALIDATION)])
def test_the_split_rule_gives_the_published_lists(split: str, listed: str) -> None:
    for each in listed.split():
        word, speaker, number = each.split("/")
        assert which_set(f"{word}/{speaker}_nohash_{number}.wav") == split


def test_the_split_rule_goes_by_the_speaker() -> None:
    for number in range(100):
        speaker = f"{number:08x}"
        assert which_set(f"cat/{speaker}_nohash_0.wav") == which_set(f"zero/{speaker}_nohash_4.wav")


def test_the_split_rule_gives_a_tenth_to_each_list() -> None:
    splits = [which_set(f"cat/{number:08x}_nohash_0.wav") for number in range(20_000)]
    assert splits.count("validation") / len(splits) == pytest.approx(0.1, abs=0.01)
    assert splits.count("test") / len(splits) == pytest.approx(0.1, abs=0.01)
