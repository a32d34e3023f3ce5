"""Validation clips of a search come from the training clips, and test clips are gone."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from benchmark.data.manifest import Clip, Manifest
from benchmark.data.registry import get_dataset
from benchmark.data.validation_split import SHARE, hold_out
from benchmark.errors import BenchmarkError


def manifest(name: str, clips: list[Clip]) -> Manifest:
    return Manifest(get_dataset(name).info, Path("nowhere"), tuple(clips), synthetic=True)


def parts(held: Manifest) -> tuple[set[str], set[str]]:
    assert {clip.split for clip in held.clips} == {"train", "validation"}
    splits = held.splits(0)
    assert set(splits) == {"train", "validation"}
    train, validation = ({held.clips[i].path for i in splits[name]} for name in ("train", "validation"))
    return train, validation


@pytest.mark.parametrize(("fold", "following"), [(1, 2), (4, 5), (5, 1)])
def test_of_folds_the_following_one_is_held_out(fold: int, following: int) -> None:
    clips = [Clip(f"{number}-{i}", 1, (i,), fold=number) for number in range(1, 6) for i in range(3)]
    held, rule = hold_out(manifest("esc50", clips), fold)
    train, validation = parts(held)
    assert validation == {clip.path for clip in clips if clip.fold == following}
    assert train == {clip.path for clip in clips if clip.fold not in {fold, following}}
    assert rule == f"fold {following}, held out from the training folds of test fold {fold}"


def test_a_listed_validation_split_is_kept() -> None:
    clips = [Clip(f"{split}-{i}", 1, (i,), split=split) for split in ("train", "validation", "test") for i in range(3)]
    held, rule = hold_out(manifest("gtzan", clips), 0)
    assert parts(held) == tuple({f"{split}-{i}" for i in range(3)} for split in ("train", "validation"))
    assert rule == "the dataset's validation list"


def test_else_a_share_of_every_class_is_held_out_the_same_each_time() -> None:
    clips = [Clip(f"{i}", 1, (i % 4, 4) if i % 2 else (i % 4,), split="train") for i in range(200)]
    clips.append(Clip("rare", 1, (5,), split="train"))  # one clip of a class is left to train on
    tests = [Clip(f"test-{i}", 1, (i % 4,), split="test") for i in range(50)]
    held, rule = hold_out(manifest("openmic", [*clips, *tests]), 0)
    assert rule.startswith("20 % of the training clips, stratified by class; without clips of ")
    train, validation = parts(held)
    assert train | validation == {clip.path for clip in clips}
    assert "rare" in train
    by_class = Counter(label for clip in clips if clip.path in validation for label in clip.labels if label < 4)
    assert by_class == dict.fromkeys(range(4), SHARE * 50)
    again, _ = hold_out(manifest("openmic", clips), 0)
    assert again.digest == held.digest  # test clips do not matter


def test_groups_are_held_out_whole() -> None:
    clips = [Clip(f"{i}", 1, (i % 2,), split="train", group=f"g{i // 10}" if i < 40 else "") for i in range(100)]
    train, validation = parts(hold_out(manifest("openmic", clips), 0).manifest)
    by_group = {clip.group: {c.path in validation for c in clips if c.group == clip.group} for clip in clips}
    assert all(len(found) == 1 for found in by_group.values())
    assert 15 <= len(validation) <= 25
    assert len(train) + len(validation) == 100


def test_the_group_nearest_to_the_share_is_held_out_and_the_rule_says_what_it_became() -> None:
    sizes = {(0, "a"): 60, (0, "b"): 40, (1, "c"): 10, (1, "d"): 30, (1, "e"): 10, (2, "f"): 50}
    clips = [
        Clip(f"{group}{i}", 1, (label,), split="train", group=group)
        for (label, group), number in sizes.items()
        for i in range(number)
    ]
    held, rule = hold_out(manifest("openmic", clips), 0)
    groups = Counter(clip.group for clip in held.clips if clip.split == "validation")
    assert groups.keys() - {"c", "e"} == {"b"}  # the smaller of two groups that are both too large
    assert 1 <= len(groups) - 1 <= 2
    share = 100 * groups.total() / len(clips)
    lacking = get_dataset("openmic").info.classes[2]
    how = "stratified by class, groups of clips whole"
    assert rule == f"{share:.0f} % of the training clips, {how}; without clips of {lacking}"


def test_too_few_clips_are_a_mistake() -> None:
    clips = [Clip("a", 1, (0,), split="train"), Clip("b", 1, (0,), split="test")]
    with pytest.raises(BenchmarkError, match="too few training clips"):
        hold_out(manifest("openmic", clips), 0)
    two = dataclasses.replace(get_dataset("esc50").info, folds=(1, 2))
    both = tuple(Clip(f"{fold}", 1, (0,), fold=fold) for fold in (1, 2))
    with pytest.raises(BenchmarkError, match="too few training clips"):
        hold_out(Manifest(two, Path("nowhere"), both, synthetic=True), 1)
