"""Groups of clips in folds: never divided, balanced by class, always the same; what cannot be balanced is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.groups import FOLDS, deal_groups
from benchmark.data.manifest import Clip, Manifest
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError
from tests.conftest import Cli

CLASSES = ("cat", "dog", "owl")


def clips_of(groups: dict[str, str]) -> list[Clip]:
    """Return a clip for each letter, which is the beginning of its classes' names, separated by commas."""
    return [
        Clip(f"{group}-{number}.wav", 1, tuple(i for i, name in enumerate(CLASSES) if name[0] in letters), group=group)
        for group, text in groups.items()
        for number, letters in enumerate(text.split(","))
    ]


def spread(labels: np.ndarray, folds: np.ndarray) -> float:
    """Return the mean standard deviation over folds of the share of each class."""
    counts = np.array(
        [[np.sum(labels[folds == fold] == label) for label in np.unique(labels)] for fold in range(FOLDS)]
    )
    return float((counts / counts.sum(0)).std(0).mean())


def test_groups_are_spread_as_well_as_by_scikit_learn() -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    generator = np.random.default_rng(0)
    ours, theirs = [], []
    for _ in range(12):
        groups = np.repeat(np.arange(40), generator.integers(1, 12, 40))
        labels = (groups % 3 + (generator.random(len(groups)) < 0.2)) % 3
        pairs = enumerate(zip(labels.tolist(), groups.tolist(), strict=True))
        clips = [Clip(str(number), 1, (label,), group=f"g{group}") for number, (label, group) in pairs]
        dealt, _ = deal_groups(clips, CLASSES, Path("x"))
        ours.append(spread(labels, np.array([clip.fold for clip in dealt]) - 1))
        folds = np.empty(len(groups))
        for fold, (_, test) in enumerate(StratifiedGroupKFold(FOLDS).split(labels, labels, groups)):
            folds[test] = fold
        theirs.append(spread(labels, folds))
    assert np.mean(ours) <= np.mean(theirs) + 0.005


def test_a_group_is_in_one_fold_whatever_the_order_of_the_clips() -> None:
    clips = clips_of({f"r{i}": ",".join("cdo"[i % 3] * (1 + i % 4)) for i in range(30)})
    dealt, remarks = deal_groups(clips, CLASSES, Path("x"))
    assert [clip.path for clip in dealt] == [clip.path for clip in clips]
    assert all(len({clip.fold for clip in dealt if clip.group == group}) == 1 for group in {c.group for c in clips})
    assert {clip.fold for clip in dealt} == set(range(1, FOLDS + 1))
    assert remarks == ["30 groups in 5 folds, balanced by class"]
    again, _ = deal_groups(clips[::-1], CLASSES, Path("x"))
    assert {clip.path: clip.fold for clip in again} == {clip.path: clip.fold for clip in dealt}
    # pinned: another assignment would be other data under the same name, and other trial ids
    assert "".join(str({c.group: c.fold for c in dealt}[f"r{i}"]) for i in range(30)) == (
        "151441323545232124515333454212"
    )


def test_clips_with_several_labels_and_with_none_are_balanced_too() -> None:
    dealt, _ = deal_groups(clips_of({f"r{i}": ("cd,,o", "c,o,")[i % 2] for i in range(20)}), CLASSES, Path("x"))
    assert set(Counter(clip.fold for clip in dealt).values()) == {12}
    assert set(Counter(clip.fold for clip in dealt if not clip.labels).values()) == {4}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({f"r{i}": "c,d,o" for i in range(4)}, "x: has 4 groups, fewer than the 5 folds"),
        (
            {**{f"r{i}": "c,d" for i in range(8)}, "farm": "o,o,c"},
            "x: all 2 clips of class 'owl' are in the group 'farm': it cannot be in training and test clips",
        ),
    ],
)
def test_what_cannot_be_balanced_is_one_line(groups: dict[str, str], message: str) -> None:
    with pytest.raises(BenchmarkError) as caught:
        deal_groups(clips_of(groups), CLASSES, Path("x"))
    assert str(caught.value) == message


def test_uneven_folds_are_reported() -> None:
    _, remarks = deal_groups(
        clips_of({"big": "c,d,o," * 20 + "c", **{f"r{i}": "c,d,o" for i in range(6)}}), CLASSES, Path("x")
    )
    assert remarks[1] == "folds are uneven, as groups are: 61, 6, 6, 3, 3 clips"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Return a folder of classes with two clips of each of twelve recordings."""
    for number in range(24):
        path = tmp_path / "mine" / CLASSES[number // 2 % 2] / f"REC_{number // 2}_{number % 2}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "mine"


def read(folder: Path) -> Manifest:
    return get_dataset("folder:mine").manifest(folder.parent)


def folds_of_groups(manifest: Manifest) -> dict[str, set[int | None]]:
    return {clip.group: {c.fold for c in manifest.clips if c.group == clip.group} for clip in manifest.clips}


def test_a_pattern_or_a_column_states_the_groups(mine: Path) -> None:
    plain = read(mine)
    assert max(map(len, folds_of_groups(plain).values())) == 1  # each clip is a group of its own
    (mine / "columns.yaml").write_text(r"group_pattern: REC_(\d+)_")
    found = read(mine)
    assert found.digest != plain.digest
    assert found.remarks == ("12 groups in 5 folds, balanced by class",)
    assert sorted(folds_of_groups(found)) == sorted(str(number) for number in range(12))
    assert {len(folds) for folds in folds_of_groups(found).values()} == {1}
    (mine / "columns.yaml").unlink()
    table = "".join(f"{clip.path},{CLASSES[clip.labels[0]]},{clip.group}\n" for clip in found.clips)
    (mine / "clips.csv").write_text("path,label,group\n" + table)
    assert read(mine).digest == found.digest
    (mine / "columns.yaml").write_text("group_pattern: REC")
    with pytest.raises(BenchmarkError, match=r"has a column of groups already; a pattern cannot state others"):
        read(mine)


def test_groups_that_are_in_several_folds_of_a_table_are_named(mine: Path) -> None:
    rows = "".join(f"{clip.path},cat|dog,{number % 2 + 1},farm\n" for number, clip in enumerate(read(mine).clips))
    (mine / "clips.csv").write_text("path,label,fold,group\n" + rows)
    assert "1 group with clips in several folds, such as 'farm'" in read(mine).remarks


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("REC_(", "group 'REC_(': not a regular expression: missing ), unterminated subpattern at position 4"),
        ("SITE_", "mine: cat/REC_0_0.wav: the group pattern 'SITE_' is not in its path"),
        ("REC", "mine: has 1 group, fewer than the 5 folds"),
    ],
)
def test_a_bad_pattern_is_one_line_and_is_not_kept(mine: Path, cli: Cli, pattern: str, message: str) -> None:
    done = cli("data", "prepare", "folder:mine", "--data-root", mine.parent, "--group", pattern)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (mine / "columns.yaml").exists()
    done = cli("data", "prepare", "esc50", "--data-root", mine.parent, "--group", pattern)
    assert "columns and groups are for your own audio" in done.stderr
