"""Folders of classes: nothing that lies there is left out without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.data.class_gaps import class_gaps
from benchmark.data.manifest import Manifest
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / "mine" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "mine" / path).write_bytes(b"x")


def read(root: Path) -> Manifest:
    return get_dataset("folder:mine").manifest(root)


def unused(root: Path) -> dict[str, int]:
    return {group.reason: len(group.paths) for group in get_dataset("folder:mine").unused(read(root))}


def test_what_is_not_used_is_counted_by_reason(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{label}/{n}.wav" for label in ("cat", "dog") for n in range(3)))
    assert unused(tmp_path) == {}
    touch(
        tmp_path, "cat/a.m4a", "cat/b.M4A", "dog/noending", "dog/2020/x.wav", "dog/2020/july/y.flac", "loose.wav",
        "cat/z.wma", "cat/more.zip", ".trash/old.wav", "cat/.hidden.wav", "__MACOSX/cat/c.wav",
        "README", "notes.txt", "cat/._a.wav", "cat/.DS_Store", "Thumbs.db", "recipe.yaml", "license",
    )  # fmt: skip
    assert unused(tmp_path) == {
        ".m4a is not read; convert to WAV or FLAC": 2,
        ".wma is not read; convert to WAV or FLAC": 1,
        ".zip is an archive; unpack it": 1,
        "the name has no ending; add the right one": 1,
        "not directly in the folder of a class": 2,
        "not in a folder": 1,
        "hidden, as the name begins with a dot": 2,
        "in a folder of the operating system": 1,
    }
    assert len(read(tmp_path).clips) == 6


def test_files_that_the_table_lacks_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav", "more/c.wav", "d.m4a")
    (tmp_path / "mine" / "clips.csv").write_text("path,label,fold\na.wav,cat,1\nb.wav,dog,2\n")
    assert unused(tmp_path) == {".m4a is not read; convert to WAV or FLAC": 1, "not listed in clips.csv": 1}


def test_a_link_to_the_folder_itself_is_walked_once(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.wav", "dog/1.wav", "dog/1.m4a")
    (tmp_path / "mine" / "cat" / "again").symlink_to(tmp_path / "mine")
    assert unused(tmp_path)[".m4a is not read; convert to WAV or FLAC"] == 1


def test_classes_that_begin_with_an_underscore_are_classes(tmp_path: Path) -> None:
    touch(tmp_path, "yes/1.wav", "no/1.wav", "_unknown_/1.wav", "_silence_/1.wav", "_notes/about.txt", "__MACOSX/._x")
    assert read(tmp_path).info.classes == ("_silence_", "_unknown_", "no", "yes")
    assert read(tmp_path).remarks == (
        "_notes has no audio and is no class",
        "_silence_ and _unknown_ are classes as all other folders",
    )
    touch(tmp_path, *(f"{split}/{label}/1.wav" for split in ("train", "test") for label in ("_unknown_", "yes")))
    for label in ("yes", "no", "_unknown_", "_silence_"):
        (tmp_path / "mine" / label / "1.wav").unlink()
        (tmp_path / "mine" / label).rmdir()
    assert read(tmp_path).info.classes == ("_unknown_", "yes")


@pytest.mark.parametrize("name", ["clips.tsv", "Clips.csv", "CLIPS.CSV", "clips.txt"])
def test_a_table_of_nearly_the_right_name_is_not_passed_over(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.wav", "dog/1.wav", "clips.wav", name)
    with pytest.raises(
        BenchmarkError, match=f"{name}: a table must be named clips.csv to be read; rename or remove it"
    ):
        read(tmp_path)


def test_a_folder_that_cannot_be_read_says_what_was_seen(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav", "metadata.csv")
    with pytest.raises(BenchmarkError, match=r"and no table clips\.csv; there are the files a\.wav, b\.wav, metadata"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["cat", "meta"])
def test_a_class_of_documents_only_is_refused(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "dog/1.wav", "bird/1.wav", f"{name}/labels.txt")
    with pytest.raises(BenchmarkError, match=f"{name}: has no audio files"):
        read(tmp_path)


def test_an_empty_class_is_refused_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "yes/1.wav", "no/1.wav")
    (tmp_path / "mine" / "_silence_").mkdir()
    with pytest.raises(BenchmarkError, match="_silence_: has no audio files"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("Train", "Test"), ("train", "test")),
        (("training", "Validation", "TESTING"), ("train", "validation", "test")),
        (("train", "val", "test"), ("train", "validation", "test")),
        (("train", "dev", "eval"), ("train", "validation", "test")),
    ],
)
def test_folders_of_splits_in_any_spelling(tmp_path: Path, names: tuple[str, ...], splits: tuple[str, ...]) -> None:
    touch(tmp_path, *(f"{name}/{label}/1.wav" for name in names for label in ("x", "y")))
    manifest = read(tmp_path)
    assert manifest.info.splits == splits
    assert {(clip.path.split("/")[0], clip.split) for clip in manifest.clips} == set(zip(names, splits, strict=True))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (
            ["Train/x/1.wav", "train/x/1.wav", "test/x/1.wav"],
            "folders Train and train are both train clips: merge them",
        ),
        (
            ["train/x/1.wav", "test/x/1.wav", "eval/x/1.wav"],
            "the folders eval and test are both test clips: merge them",
        ),
        (["train/1.wav", "test/1.wav"], "the folders test and train have no folders of classes: SPLIT/CLASS/FILE"),
        (["dev/x/1.wav", "eval/x/1.wav", "eval/y/1.wav"], "it needs clips for train and for test"),
        (["train/1.wav", "test/1.wav", "bus/1.wav"], "the folder 'bus' is not a split"),
    ],
)
def test_splits_that_are_not_clear_are_refused(tmp_path: Path, paths: list[str], message: str) -> None:
    touch(tmp_path, *paths)
    with pytest.raises(BenchmarkError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("names", [("bus", "train", "tram"), ("sleeping", "testing", "training")])
def test_a_class_may_have_the_name_of_a_split(names: tuple[str, ...], tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/1.wav" for name in names))
    manifest = read(tmp_path)
    assert manifest.info.classes == tuple(sorted(names))
    assert f"{names[1]} is a class, not a split" in manifest.remarks


def test_an_empty_folder_of_a_split_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/{label}/1.wav" for name in ("Train", "Test") for label in ("x", "y")))
    (tmp_path / "mine" / "Validation").mkdir()
    assert read(tmp_path).remarks == ("Validation has no folders of classes",)


def test_audio_beside_the_classes_of_a_split_is_counted(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/{label}/1.wav" for name in ("train", "test") for label in ("x", "y")), "train/z.wav")
    touch(tmp_path, "_background_noise_/1.wav")
    assert unused(tmp_path) == {"not directly in the folder of a class": 2}
    assert read(tmp_path).info.classes == ("x", "y")


def test_the_data_root_may_be_the_folder_itself(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.wav", "dog/1.wav")
    assert get_dataset("folder:mine").manifest(tmp_path / "mine").digest == read(tmp_path).digest


def test_classes_without_training_or_test_clips_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "train/x/1.wav", "train/y/1.wav", "test/x/1.wav", "test/z/1.wav")
    assert class_gaps(read(tmp_path), (0,)) == [
        "1 class has no training clips: z",
        "1 class has no test clips: y",
    ]
    assert class_gaps(read(tmp_path), (0,), {"test/x/1.wav"})[1] == "2 classes have no test clips: x, y"


def test_classes_without_clips_in_some_folds_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav", "c.wav", "d.wav")
    (tmp_path / "mine" / "clips.csv").write_text(
        "path,label,fold\na.wav,cat,1\nb.wav,cat,2\nc.wav,cat,3\nd.wav,dog,2\n"
    )
    assert class_gaps(read(tmp_path), (1, 2, 3)) == [
        "1 class has no training clips: dog (fold 2)",
        "1 class has no test clips: dog (folds 1, 3)",
    ]
    assert class_gaps(read(tmp_path), (2,)) == ["1 class has no training clips: dog (fold 2)"]
