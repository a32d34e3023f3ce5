"""A user's own audio: tables, folders, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmark.data.datasets.folder import Folder
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError, MissingInputError

TABLE = "path,label,split\na.wav,cat,train\nb.wav,dog,train\nc.wav,cat,test\nd.wav,dog,test\n"


def write_audio(folder: Path, *paths: str) -> None:
    for number, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / path, np.random.default_rng(number).normal(0, 0.1, 8000), 16_000)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    write_audio(tmp_path / "mine", "a.wav", "b.wav", "c.wav", "d.wav")
    return tmp_path / "mine"


def test_a_table_with_splits(mine: Path) -> None:
    (mine / "clips.csv").write_text(TABLE)
    manifest = get_dataset("folder:mine").manifest(mine.parent)
    assert manifest.info.classes == ("cat", "dog")
    assert (manifest.info.splits, manifest.info.folds, manifest.kind) == (("train", "test"), (), "complete")
    assert {split: len(clips) for split, clips in manifest.splits(0).items()} == {"train": 2, "test": 2}


def test_a_table_with_folds_and_several_labels(mine: Path) -> None:
    (mine / "clips.csv").write_text("path,label,fold\na.wav,cat|dog,1\nb.wav,,1\nc.wav,dog,2\nd.wav,bird,3\n")
    info = get_dataset("folder:mine").manifest(mine.parent).info
    assert (info.folds, info.multi_label, info.metric) == ((1, 2, 3), True, "map")
    assert info.classes == ("bird", "cat", "dog")


def test_a_table_with_groups(mine: Path) -> None:
    (mine / "clips.csv").write_text("path,label,fold,group\na.wav,cat,1,farm\nb.wav,dog,1,farm\nc.wav,dog,2,\n")
    clips = get_dataset("folder:mine").manifest(mine.parent).clips
    assert {clip.path: clip.group for clip in clips} == {"a.wav": "farm", "b.wav": "farm", "c.wav": "c.wav"}


def test_a_folder_for_each_class_is_dealt_to_five_folds(tmp_path: Path) -> None:
    names = [f"{label}/{number}.flac" for label in ("cat", "dog") for number in range(10)]
    write_audio(tmp_path / "mine", *names, "cat/.hidden.wav")
    manifest = get_dataset("folder:mine").manifest(tmp_path)
    assert len(manifest.clips) == 20
    for fold in range(1, 6):
        test = [manifest.clips[i] for i in manifest.splits(fold)["test"]]
        assert sorted(clip.labels for clip in test) == [(0,), (0,), (1,), (1,)]
    again = get_dataset("folder:mine").manifest(tmp_path)
    assert again.digest == manifest.digest


def test_folders_for_splits(tmp_path: Path) -> None:
    write_audio(tmp_path / "mine", *(f"{s}/{c}/1.wav" for s in ("train", "validation", "test") for c in ("x", "y")))
    manifest = get_dataset("folder:mine").manifest(tmp_path)
    assert manifest.info.splits == ("train", "validation", "test")
    assert manifest.info.classes == ("x", "y")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("path,label\na.wav,cat\n", "needs a column 'fold' or a column 'split'"),
        ("path,label,fold,split\na.wav,cat,1,train\n", "but not both"),
        ("path,split\na.wav,train\n", "column 'label' is missing"),
        ("path,label,split\n", "lists no clips"),
        (TABLE.replace(",train", ",practice", 1), r"line 2: split 'practice' is not one of train, validation, test"),
        (TABLE.replace("split", "fold").replace("train", "0"), r"line 4: fold 'test' is not one of 0\.\."),
        (TABLE.replace("a.wav", "../a.wav"), r"line 2: '\.\./a\.wav' is outside the folder"),
        (TABLE.replace("b.wav", "a.wav"), "line 3: a.wav is listed twice"),
        (TABLE.replace("dog", "cat"), r"has fewer than two classes \(cat\)"),
        (TABLE.replace("test", "train"), "has clips for train; it needs clips for train and for test"),
    ],
)
def test_a_bad_table_is_one_clear_line(mine: Path, table: str, message: str) -> None:
    (mine / "clips.csv").write_text(table)
    with pytest.raises(BenchmarkError, match=message) as caught:
        get_dataset("folder:mine").manifest(mine.parent)
    assert "\n" not in str(caught.value)


def test_names_that_are_paths_are_refused() -> None:
    for name in ("../x", "a/b", "", "a b"):
        with pytest.raises(BenchmarkError, match="a name may have letters"):
            get_dataset(f"folder:{name}")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"mine: no folder .*put your audio there, with a table clips\.csv"):
        get_dataset("folder:mine").manifest(tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(BenchmarkError, match="has no audio files"):
        get_dataset("folder:mine").manifest(tmp_path)
    write_audio(tmp_path / "mine", "train/x/1.wav")
    write_audio(tmp_path / "mine", "train/y/1.wav")
    with pytest.raises(BenchmarkError, match="it needs clips for train and for test"):
        get_dataset("folder:mine").manifest(tmp_path)


def test_the_recipe_has_to_be_measured_first(mine: Path, tmp_path: Path) -> None:
    from benchmark.tools.data.measure import write_folder_recipe

    (mine / "clips.csv").write_text(TABLE)
    dataset = Folder("mine")
    with pytest.raises(MissingInputError, match="data prepare folder:mine --data-root"):
        dataset.own_recipe(mine)
    write_folder_recipe(dataset, tmp_path, None, None)
    [layer] = dataset.own_recipe(mine)
    assert layer.values["frames"] == 64  # half a second, in steps of 16, at least 64
    assert layer.values["loss"] == "cross_entropy"
    assert -20 < layer.values["mean"] < 0 < layer.values["std"]
    with pytest.raises(BenchmarkError, match="exists already; remove it to measure again"):
        write_folder_recipe(dataset, tmp_path, None, None)


@pytest.mark.parametrize("content", ["values: 3", "source: x\nvalue: {}", "::", ""])
def test_a_damaged_recipe_is_one_clear_line(mine: Path, content: str) -> None:
    (mine / "recipe.yaml").write_text(content)
    with pytest.raises(BenchmarkError, match=r"recipe\.yaml") as caught:
        Folder("mine").own_recipe(mine)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("path,label,fold\na.wav,cat,1\n./a.wav,dog,2\n", "line 3: a.wav is listed twice"),
        ("path,label,fold\n,cat,1\nb.wav,dog,2\n", r"line 2: .*mine is not a file"),
        ("path,label,fold\na.wav,cat\n", "line 2: has too few values"),
        (f"path,label,fold\na.wav,cat,{'9' * 5000}\n", "is not one of 0"),
        ("path,label,label,fold\na.wav,cat,dog,1\n", "has a column twice"),
        ("path,label,fold\na.wav,cat,1\nb.wav,dog,1\n", "has only one fold; it needs at least two"),
        ("path,label,fold\na.wav,,1\nb.wav,dog,2\nc.wav,cat,2\n", r"a\.wav has no label"),
        ("path,label,fold\na.wav,,1\nb.wav,,2\n", r"has fewer than two classes \(no labels\)"),
    ],
)
def test_what_would_be_misread_is_refused(mine: Path, table: str, message: str) -> None:
    (mine / "clips.csv").write_text(table)
    with pytest.raises(BenchmarkError, match=message):
        get_dataset("folder:mine").manifest(mine.parent)


def test_tables_of_spreadsheets_are_read(mine: Path) -> None:
    (mine / "clips.csv").write_bytes("\ufeffpath, label, split\r\na.wav, cat, train\r\nb.wav,dog ,test\r\n".encode())
    assert get_dataset("folder:mine").manifest(mine.parent).info.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (
            ["cat/a.wav", "dog/2020/b.wav"],
            r"dog: has no audio files .*; they must be directly in",
        ),
        (["cat/a.wav", "dog/b.m4a"], "dog: has no audio files"),
        (
            ["train/x/a.wav", "val/x/b.wav", "valid/x/b.wav", "test/x/c.wav"],
            "the folders val and valid are both validation clips: merge them",
        ),
        (["train/x/a.wav", "test/x/b.wav", "notes/c.wav"], "the folder 'notes' is not a split"),
    ],
)
def test_nothing_vanishes_from_class_folders(tmp_path: Path, paths: list[str], message: str) -> None:
    for path in paths:
        if path.endswith(".m4a"):
            (tmp_path / "mine" / "dog").mkdir()
            (tmp_path / "mine" / path).write_bytes(b"x")
        else:
            write_audio(tmp_path / "mine", path)
    (tmp_path / "mine" / "__MACOSX").mkdir()
    with pytest.raises(BenchmarkError, match=message):
        get_dataset("folder:mine").manifest(tmp_path)


def test_bad_files_are_left_out_of_the_measurement(mine: Path, tmp_path: Path) -> None:
    from benchmark.tools.data.measure import write_folder_recipe

    (mine / "clips.csv").write_text(TABLE)
    (mine / "a.wav").write_bytes(b"")
    _, remarks = write_folder_recipe(Folder("mine"), tmp_path, None, None)
    assert remarks == [f"left out: {mine / 'a.wav'}: is empty", "1 class has no training clips: cat"]
    (mine / "recipe.yaml").unlink()
    for name in "ab":
        soundfile.write(mine / f"{name}.wav", np.zeros(8000), 16_000)
    with pytest.raises(BenchmarkError, match="all clips are bad or digital silence"):
        write_folder_recipe(Folder("mine"), tmp_path, None, None)


@pytest.mark.parametrize(
    ("values", "message"),
    [("{mean: abc}", r"recipe\.yaml \(x\).*mean"), ("{frams: 5}", r"recipe\.yaml \(x\): recipe\.frams: unknown key")],
)
def test_a_mistake_in_the_recipe_is_found_in_its_file(mine: Path, values: str, message: str) -> None:
    (mine / "recipe.yaml").write_text(f"source: x\nvalues: {values}\n")
    with pytest.raises(BenchmarkError, match=message):
        Folder("mine").own_recipe(mine)
