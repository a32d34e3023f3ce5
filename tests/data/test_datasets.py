"""The other five official layouts: what is read from them, and what is refused."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.data.datasets import urbansound8k as urban
from benchmark.data.registry import datasets, get_dataset
from benchmark.errors import BenchmarkError, MissingInputError


def touch(path: Path, content: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_csv(path: Path, rows: list[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(rows)


def urbansound8k(root: Path) -> None:
    rows: list[tuple[object, ...]] = [
        ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
    ]
    for fold in range(1, 11):
        for label in (0, 9):
            name = f"{fold}-{label}-0-0.wav"
            touch(root / "UrbanSound8K" / "audio" / f"fold{fold}" / name)
            rows.append((name, fold, 0, 4, 1, fold, label, urban.CLASSES[label]))
    touch(root / "UrbanSound8K" / "audio" / "fold1" / ".DS_Store")
    write_csv(root / "UrbanSound8K" / "metadata" / "UrbanSound8K.csv", rows)


def speech_commands(root: Path) -> None:
    folder = root / "speech_commands_v0.01"
    for word in ("cat", "zero"):
        for speaker in "abc":
            touch(folder / word / f"{speaker}_nohash_0.wav")
    touch(folder / "_background_noise_" / "pink_noise.wav")
    touch(folder / "cat" / ".hidden.wav")
    (folder / "validation_list.txt").write_text("cat/a_nohash_0.wav\n")
    (folder / "testing_list.txt").write_text("cat/b_nohash_0.wav\nzero/b_nohash_0.wav\n")


def gtzan(root: Path) -> None:
    for name in ("blues.00029", "jazz.00054", "rock.00012"):
        touch(root / "genres_original" / name.split(".")[0] / f"{name}.wav")
    touch(root / "genres_original" / "blues" / "._blues.00029.wav")


def openmic(root: Path) -> None:
    folder = root / "openmic-2018"
    head = ("sample_key", "instrument", "relevance", "num_responses")
    rows = [head, ("000001_1", "piano", 0.9, 3), ("000001_1", "voice", 0.49, 3), ("000002_1", "drums", 0.5, 3)]
    write_csv(folder / "openmic-2018-aggregated-labels.csv", rows)
    write_csv(folder / "partitions" / "split01_train.csv", [("000001_1",)])
    write_csv(folder / "partitions" / "split01_test.csv", [("000002_1",)])
    for key in ("000001_1", "000002_1"):
        touch(folder / "audio" / "000" / f"{key}.ogg")


TREES: dict[str, Callable[[Path], None]] = {
    "urbansound8k": urbansound8k,
    "speech_commands_v1": speech_commands,
    "gtzan": gtzan,
    "openmic": openmic,
}


@pytest.mark.parametrize("name", sorted(datasets()))
def test_facts_are_stated(name: str) -> None:
    info = get_dataset(name).info
    assert len(set(info.classes)) == len(info.classes)
    assert (len(info.folds) > 1) != bool(info.splits)
    assert all((info.licence, info.homepage, info.citation, info.by_hand, info.description))


def test_the_papers_six_datasets_have_their_classes_and_fold_units() -> None:
    shape = {name: (len(d.info.classes), len(d.info.fold_units)) for name, d in datasets().items()}
    assert shape == {
        "esc50": (50, 5),
        "urbansound8k": (10, 10),
        "speech_commands_v1": (30, 1),
        "speech_commands_v2": (35, 1),
        "gtzan": (10, 1),
        "openmic": (20, 1),
    }
    words = get_dataset("speech_commands_v2").info.classes
    assert list(words) == sorted(words)
    assert set(words) - set(get_dataset("speech_commands_v1").info.classes) == {
        "backward", "follow", "forward", "learn", "visual",
    }  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_a_missing_folder_says_where_to_get_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=f"{get_dataset(name).info.label}: no folder .*get"):
        get_dataset(name).manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "fold", "expected"),
    [
        ("urbansound8k", 3, {"train": 18, "test": 2}),
        ("speech_commands_v1", 0, {"train": 3, "validation": 1, "test": 2}),
        ("openmic", 0, {"train": 1, "test": 1}),
    ],
)
def test_splits(name: str, fold: int, expected: dict[str, int], tmp_path: Path) -> None:
    TREES[name](tmp_path)
    manifest = get_dataset(name).manifest(tmp_path)
    assert {split: len(indices) for split, indices in manifest.splits(fold).items()} == expected
    assert manifest.kind == "partial"
    assert all((manifest.folder / clip.path).is_file() for clip in manifest.clips)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("urbansound8k", {"1-0-0-0.wav": "1", "1-9-0-0.wav": "1", "10-0-0-0.wav": "10"}),  # the Freesound recording
        ("speech_commands_v1", {"a_nohash_0.wav": "a", "b_nohash_0.wav": "b"}),  # the speaker
        ("gtzan", {"blues.00029.wav": "blues/blues.00029.wav"}),  # the list tells no artist
        ("openmic", {"000001_1.ogg": "000001"}),  # the track
    ],
)
def test_clips_of_one_source_are_one_group(name: str, groups: dict[str, str], tmp_path: Path) -> None:
    TREES[name](tmp_path)
    manifest = get_dataset(name).manifest(tmp_path)
    found = {Path(clip.path).name: clip.group for clip in manifest.clips}
    assert {file: found[file] for file in groups} == groups
    alone = replace(manifest, clips=tuple(replace(clip, group="") for clip in manifest.clips))
    assert alone.digest == manifest.digest  # groups change no trial


def test_the_state_of_the_files_is_another_one_after_any_change(tmp_path: Path) -> None:
    """A verdict of `data verify` holds for the same files, labels and folds only."""
    openmic(tmp_path)
    manifest = get_dataset("openmic").manifest(tmp_path)
    first, *rest = manifest.clips
    assert get_dataset("openmic").manifest(tmp_path).state == manifest.state
    for change in ({"changed": 1}, {"labels": (3,)}, {"split": "train" if first.split == "test" else "test"}):
        other = replace(manifest, clips=(replace(first, **change), *rest))
        assert other.state != manifest.state


def test_gtzan_uses_the_filtered_lists_of_either_layout(tmp_path: Path) -> None:
    gtzan(tmp_path)
    clips = get_dataset("gtzan").manifest(tmp_path).clips
    assert {clip.path: clip.split for clip in clips} == {
        "blues/blues.00029.wav": "train",
        "jazz/jazz.00054.wav": "train",
        "rock/rock.00012.wav": "test",
    }
    with pytest.raises(BenchmarkError, match="no clips in the validation split"):
        get_dataset("gtzan").manifest(tmp_path).splits(0)


def test_listed_clips_of_gtzan_without_a_file_need_consent(tmp_path: Path) -> None:
    gtzan(tmp_path)
    manifest = get_dataset("gtzan").manifest(tmp_path)
    assert (len(manifest.clips), len(manifest.absent), manifest.kind) == (3, 927, "partial")
    assert Counter(clip.split for clip in manifest.absent) == {"train": 441, "validation": 197, "test": 289}
    with pytest.raises(
        BenchmarkError, match=r"blues\.00000\.wav is not there, nor are 926 other .*--on-bad-audio skip"
    ):
        manifest.require_all()
    touch(manifest.folder / "SYNTHETIC.json")  # generated audio is never of all clips
    assert not get_dataset("gtzan").manifest(tmp_path).absent


def test_the_filtered_lists_have_the_published_counts() -> None:
    from benchmark.data.datasets.gtzan import SPLIT
    from benchmark.data.metadata_files import read_rows

    splits = [row["split"] for _, row in read_rows(SPLIT, ("split", "clip"))]
    assert [splits.count(name) for name in ("train", "validation", "test")] == [443, 197, 290]
    assert len({row["clip"] for _, row in read_rows(SPLIT, ("split", "clip"))}) == 930


def test_openmic_reads_relevance_and_what_was_annotated(tmp_path: Path) -> None:
    openmic(tmp_path)
    first, second = get_dataset("openmic").manifest(tmp_path).clips
    piano, voice, drums = 12, 19, 6
    assert (first.labels, first.observed) == ((piano,), (piano, voice))
    assert (second.labels, second.observed) == ((drums,), (drums,))


def edit(path: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new, 1))

    return change


US8K, OPENMIC = "UrbanSound8K/metadata/UrbanSound8K.csv", "openmic-2018/openmic-2018-aggregated-labels.csv"


SC1 = "speech_commands_v0.01"


def not_utf8(root: Path) -> None:
    (root / SC1 / "cat" / os.fsdecode(b"caf\xe9_nohash_0.wav")).write_bytes(b"x")


def loop(root: Path) -> None:
    (root / SC1 / "cat" / "loop_nohash_0.wav").symlink_to("loop_nohash_0.wav")


def folder_loop(root: Path) -> None:
    (root / SC1 / "dog").symlink_to("dog")


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("urbansound8k", edit(US8K, "1-0-0-0.wav", "1-3-0-0.wav"), r"line 2: file name .* does not match class 0"),
        ("urbansound8k", edit(US8K, "1-0-0-0.wav", "7-0-0-0.wav"), r"line 2: file name .* does not match fsID '1'"),
        (
            "urbansound8k",
            edit(US8K, "air_conditioner", "siren"),
            r"line 2: classID 0 is 'air_conditioner', not 'siren'",
        ),
        ("urbansound8k", lambda root: (root / US8K).unlink(), "cannot be read"),
        (
            "speech_commands_v1",
            lambda root: touch(root / "speech_commands_v0.01" / "learn" / "a.wav"),
            "folder 'learn' is not a word of Speech Commands V1",
        ),
        (
            "speech_commands_v1",
            edit("speech_commands_v0.01/testing_list.txt", "cat/b", "cat/a"),
            "is listed twice, in this list or in both",
        ),
        ("openmic", edit(OPENMIC, "piano", "kazoo"), r"line 2: 'kazoo' is not an instrument"),
        ("openmic", edit(OPENMIC, "0.9", "high"), r"line 2: relevance 'high' is not a number"),
        ("openmic", edit("openmic-2018/partitions/split01_test.csv", "000002_1", "000009_1"), "has no labels"),
        ("openmic", edit("openmic-2018/partitions/split01_test.csv", "000002_1", "000001_1"), "is listed twice"),
        ("speech_commands_v1", not_utf8, r"cat: the file name 'caf\\udce9_nohash_0\.wav' is not plain UTF-8; rename"),
        ("speech_commands_v1", loop, r"loop_nohash_0\.wav: cannot be read"),
        (
            "speech_commands_v1",
            lambda root: (root / SC1 / "testing_list.txt").unlink(),
            r"testing_list\.txt: cannot be",
        ),
        (
            "speech_commands_v1",
            lambda root: (root / SC1 / "testing_list.txt").write_bytes(b"cat/\xff.wav\n"),
            r"testing_list\.txt: cannot be read",
        ),
        ("urbansound8k", edit(US8K, "1-0-0-0.wav,1,0,4,1,1,", "1-0-0-0.wav,1,0,4,1,11,"), r"fold '11' is not one of 1"),
        (
            "urbansound8k",
            edit(US8K, "\n2-0", "\n1-0-0-0.wav,1,0,4,1,1,0,air_conditioner\n2-0"),
            "1-0-0-0.wav is listed twice",
        ),
        (
            "openmic",
            edit(OPENMIC, "000001_1,piano,0.9,3", "000001_1,piano,0.9,3\n000001_1,piano,0.1,3"),
            "two relevances",
        ),
        ("openmic", edit("openmic-2018/partitions/split01_test.csv", "000002_1", "../2"), "'../2' has no labels"),
    ],
)
def test_a_broken_tree_is_one_clear_line(
    name: str, damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    TREES[name](tmp_path)
    damage(tmp_path)
    with pytest.raises(BenchmarkError, match=message) as caught:
        get_dataset(name).manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_link_that_leads_to_itself_is_no_word(tmp_path: Path) -> None:
    speech_commands(tmp_path)
    before = get_dataset("speech_commands_v1").manifest(tmp_path).digest
    folder_loop(tmp_path)
    touch(tmp_path / SC1 / "zero" / ".DS_Store")
    assert get_dataset("speech_commands_v1").manifest(tmp_path).digest == before
