"""Few-shot clips: as many as asked for, the same for the same seed, and more shots contain fewer."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from benchmark.data.few_shot import shots_of, smallest_class
from benchmark.data.manifest import Clip

ONE_LABEL = [Clip(f"{i:02d}", 1, (i % 3,)) for i in range(30)]
SEVERAL = [
    Clip(f"{i:03d}", 1, tuple(np.flatnonzero(row)))
    for i, row in enumerate(np.random.default_rng(0).random((200, 5)) < [0.6, 0.3, 0.2, 0.1, 0.04])
]


def counts(clips: list[Clip]) -> Counter[int]:
    return Counter(label for clip in clips for label in clip.labels)


@pytest.mark.parametrize("clips", [ONE_LABEL, SEVERAL])
def test_draws_are_nested_and_differ_by_seed(clips: list[Clip]) -> None:
    drawn = [{clip.path for clip in shots_of(clips, shots, 7)} for shots in range(1, 6)]
    for fewer, more in itertools.pairwise(drawn):
        assert fewer < more
    assert drawn[0] != {clip.path for clip in shots_of(clips, 1, 8)}
    assert drawn[4] == {clip.path for clip in shots_of(clips, 5, 7)}


@pytest.mark.parametrize("clips", [ONE_LABEL, SEVERAL])
def test_bad_files_are_replaced_and_those_that_would_not_be_drawn_change_nothing(clips: list[Clip]) -> None:
    drawn = {clip.path for clip in shots_of(clips, 3, 7)}
    others = {clip.path for clip in clips} - drawn
    assert {clip.path for clip in shots_of(clips, 3, 7, others)} == drawn
    bad = set(sorted(drawn)[:2])
    replaced = shots_of(clips, 3, 7, bad)
    assert not {clip.path for clip in replaced} & bad
    assert all(number >= 3 for number in counts(replaced).values())


def test_with_one_label_each_class_has_exactly_its_shots() -> None:
    assert counts(shots_of(ONE_LABEL, 4, 0)) == {0: 4, 1: 4, 2: 4}


def test_with_several_labels_a_class_has_at_least_its_shots_and_a_clip_counts_for_all_of_them() -> None:
    found = shots_of(SEVERAL, 4, 0)
    assert all(number >= 4 for number in counts(found).values())
    assert len(counts(found)) == 5
    assert len(found) < 4 * 5  # a clip of a rare class also serves common ones


def test_a_class_may_have_fewer_clips_than_shots() -> None:
    label, number = smallest_class([*ONE_LABEL[:7], Clip("none", 1, ())])
    assert (label, number) == (1, 2)
    assert counts(shots_of(ONE_LABEL[:7], 3, 0)) == {0: 3, 1: 2, 2: 2}
