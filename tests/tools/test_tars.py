"""X-ARES' tars: unpacking, and what is refused."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.data.datasets.xares import Xares
from benchmark.data.registry import own_names
from benchmark.errors import BenchmarkError
from benchmark.tools.data.tars import unpack_tars
from tests.data.public_trees import sound, write_tar, write_xares_esc50

QUIET = Console(quiet=True)
SPLITS = {"train": "fsd50k_train_0.tar", "validation": "fsd50k_validation_0.tar", "test": "fsd50k_eval_0.tar"}


def xares(name: str, classes: int = 2) -> Xares:
    """Return a task as if it had few classes."""
    dataset = Xares(name)
    dataset.task = dataset.task.model_copy(update={"classes": classes})
    return dataset


def test_folds_from_the_folder_that_x_ares_uses(tmp_path: Path) -> None:
    write_xares_esc50(tmp_path / "env" / "esc50")
    place = unpack_tars(xares("esc50"), tmp_path, None, QUIET)
    manifest = Xares("esc50").manifest(tmp_path)
    assert place == tmp_path / "xares" / "esc50"
    assert (manifest.info.folds, manifest.info.classes) == ((1, 2, 3, 4, 5), ("0", "1"))
    [first, second] = (manifest.clips[i] for i in manifest.splits(3)["test"])
    assert (first.path, first.labels, second.labels) == ("fold3/3-0-A-0.wav", (0,), (1,))
    assert (place / first.path).read_bytes() == sound(0, 3)
    assert own_names(tmp_path) == ["xares:esc50"]
    with pytest.raises(BenchmarkError, match="exists already"):
        unpack_tars(xares("esc50"), tmp_path, None, QUIET)


def test_splits_and_several_labels_from_a_zip_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "record.zip", "w") as packed:
        for number, (split, name) in enumerate(SPLITS.items()):
            clips = [(f"dir/{split}_{i}", sound(i, number, "FLAC"), {"soundevent": text}) for i, text in
                     enumerate(("Bark;Dog", "Meow", "Dog"))]  # fmt: skip
            packed.write(write_tar(tmp_path / name, clips[:2] if split == "test" else clips, "flac"), f"files/{name}")
    dataset = xares("fsd50k", 3)
    unpack_tars(dataset, tmp_path, str(tmp_path / "record.zip"), QUIET)
    manifest = dataset.manifest(tmp_path)
    info = manifest.info
    assert (info.classes, info.splits, info.metric) == (("Bark", "Dog", "Meow"), ("train", "validation", "test"), "map")
    assert {split: len(clips) for split, clips in manifest.splits(0).items()} == {
        "train": 3, "validation": 3, "test": 2,
    }  # fmt: skip
    assert {clip.path: clip.labels for clip in manifest.clips}["train/train_0.flac"] == (0, 1)
    assert "X-ARES cuts clips into parts of 10 s" in manifest.remarks[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cut in a clip", r"wds-audio-fold-2-000000\.tar: is cut off or damaged"),
        ("cut between clips", r"wds-audio-fold-2-000000\.tar: is cut off or damaged \(no end of the archive\)"),
        ("empty", r"wds-audio-fold-2-000000\.tar: is cut off or damaged"),
        ("no label", r"tar: a\.json: has no 'label', the label of this task \(there: target\)"),
        ("no json", r"tar: a: has no \.json with its label"),
        ("a list", r"tar: a\.json: has no 'label', the label of this task \(there: list\)"),
        ("no clips", r"tar: holds no clips"),
        ("no tar", r"has no wds-audio-fold-2-\*\.tar, the clips of fold 2 of X-ARES ESC-50"),
    ],
)
def test_a_bad_tar_is_one_clear_line(tmp_path: Path, change: str, message: str) -> None:
    folder = write_xares_esc50(tmp_path / "tars")
    tar = folder / "wds-audio-fold-2-000000.tar"
    clips = {"no label": {"target": 1}, "no json": None, "a list": [1]}
    if change in clips:
        write_tar(tar, [("a", sound(0, 0), clips[change])])
    elif change == "no clips":
        write_tar(tar, [])
    elif change == "no tar":
        for path in folder.glob("wds-audio-fold-2-*"):
            path.unlink()
    else:
        os.truncate(tar, {"cut in a clip": 5000, "cut between clips": 512 + 16384 + 1024, "empty": 0}[change])
    with pytest.raises(BenchmarkError, match=message) as caught:
        unpack_tars(xares("esc50"), tmp_path, str(folder), QUIET)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tars"]


def test_clips_of_one_name_in_two_tars_are_kept_apart(tmp_path: Path) -> None:
    for fold in range(5):
        clips = [("same", sound(label, fold), {"num_speakers": label}) for label in (2, 10)]
        write_tar(tmp_path / "tars" / f"libricount_fold0{fold}.tar", clips[:1])
        write_tar(tmp_path / "tars" / f"libricount_fold0{fold}.tar", [clips[0], ("other", *clips[1][1:]), clips[1]])
    unpack_tars(xares("libricount"), tmp_path, str(tmp_path / "tars"), QUIET)
    manifest = Xares("libricount").manifest(tmp_path)
    assert manifest.info.classes == ("2", "10")
    assert [clip.path for clip in manifest.clips if clip.fold == 1] == [
        "fold1/other.wav", "fold1/same-2.wav", "fold1/same.wav",
    ]  # fmt: skip


def test_a_damaged_zip_file_and_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK\3\4 cut")
    for name, message in {"x.zip": "cannot be unpacked", "y.zip": "no such file or folder"}.items():
        with pytest.raises(BenchmarkError, match=message):
            unpack_tars(xares("esc50"), tmp_path, str(tmp_path / name), QUIET)


def test_tars_are_downloaded_unless_they_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, root = write_xares_esc50(tmp_path / "tars"), tmp_path / "root"
    asked = []

    def fetch(urls: list[str], target: Path, known_hash: None, console: Console) -> Path:
        asked.append(urls)
        target.parent.mkdir(parents=True, exist_ok=True)
        if len(asked) == 1:
            target.write_bytes(b"damaged")
            return target
        with zipfile.ZipFile(target, "w") as packed:
            for path in folder.iterdir():
                packed.write(path, path.name)
        return target

    monkeypatch.setattr("benchmark.tools.data.tars.fetch", fetch)
    with pytest.raises(BenchmarkError, match="cannot be unpacked"):
        unpack_tars(xares("esc50"), root, None, QUIET)
    assert not list(root.rglob("*.zip"))  # the next call downloads it again
    unpack_tars(xares("esc50"), root, "http://mirror/x.zip", QUIET)
    assert asked == [["https://zenodo.org/api/records/14614287/files-archive"], ["http://mirror/x.zip"]]
    assert len(Xares("esc50").manifest(root).clips) == 10
    assert not list(root.rglob("*.zip"))


def test_a_damaged_table_is_an_error_and_not_listed(tmp_path: Path) -> None:
    write_xares_esc50(tmp_path / "env" / "esc50")
    place = unpack_tars(xares("esc50"), tmp_path, None, QUIET)
    content = (place / "clips.json").read_text()
    for damaged in (
        content[:100],
        content.replace("xares:esc50", "xares:other"),
        content.replace('"classes":["0",', '"classes":['),
    ):
        (place / "clips.json").write_text(damaged)
        with pytest.raises(
            BenchmarkError, match=r"clips\.json: (cannot be read|is of xares:other|.* has a label that is not)"
        ):
            Xares("esc50").manifest(tmp_path)
    (place / "clips.json").write_text("{")
    assert own_names(tmp_path) == []


def test_tars_that_lack_a_class_are_refused(tmp_path: Path) -> None:
    write_xares_esc50(tmp_path / "tars")
    with pytest.raises(
        BenchmarkError, match=r"10 tars with 2 different labels; X-ARES ESC-50 has 50 classes: tars are"
    ):
        unpack_tars(Xares("esc50"), tmp_path, str(tmp_path / "tars"), QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["tars"]


def test_missing_numbers_of_tars_are_named(tmp_path: Path) -> None:
    for name, number in (("train", "000007"), ("train", "000001"), ("valid", "000000"), ("test", "000000")):
        clips = [(f"{number}-{label}", sound(label, 0), {"label": label}) for label in range(2)]
        write_tar(tmp_path / "tars" / f"wds-audio-{name}-{number}.tar", clips)
    unpack_tars(xares("cremad"), tmp_path, str(tmp_path / "tars"), QUIET)
    assert xares("cremad").manifest(tmp_path).remarks == (
        "tars may be missing: wds-audio-train-NUMBER.tar has no number 0, 2, 3, 4, 5, ...",
    )


def test_a_good_download_is_kept_when_its_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_xares_esc50(tmp_path / "tars")

    def fetch(urls: list[str], target: Path, known_hash: None, console: Console) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w") as packed:
            for path in folder.iterdir():
                packed.write(path, path.name)
        return target

    monkeypatch.setattr("benchmark.tools.data.tars.fetch", fetch)
    with pytest.raises(BenchmarkError, match=r"50 classes.*; the download is kept, to be used again with --from: "):
        unpack_tars(Xares("esc50"), tmp_path, None, QUIET)
    [kept] = (tmp_path / ".downloads").iterdir()
    unpack_tars(xares("esc50"), tmp_path, str(kept), QUIET)


def sparse_tar(path: Path) -> None:
    """Write a small tar with a sparse file of 300 MB."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a.wav")
        member.size = 512
        member.pax_headers = {"GNU.sparse.map": "0,512", "GNU.sparse.size": str(300 * 10**6)}
        archive.addfile(member, io.BytesIO(bytes(512)))


def test_what_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_xares_esc50(tmp_path / "tars")
    sparse_tar(folder / "wds-audio-fold-2-000000.tar")
    with pytest.raises(BenchmarkError, match=r"000000\.tar: a\.wav is a sparse file, which no recording is"):
        unpack_tars(xares("esc50"), tmp_path, str(folder), QUIET)
    monkeypatch.setattr("benchmark.tools.data.room.LARGEST", 10_000)
    with pytest.raises(BenchmarkError, match=r"fold-1-000000\.tar: 1-0-A-0\.wav: has 16 kB, more than a recording"):
        unpack_tars(xares("esc50"), tmp_path, str(folder), QUIET)


def test_a_zip_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("wds-audio-fold-1-0.tar", bytes(10**6))
    monkeypatch.setattr("benchmark.tools.data.tars.ALLOWED", 0)
    with pytest.raises(BenchmarkError, match=r"unpacks to 1 MB, more than 100 times its size"):
        unpack_tars(xares("esc50"), tmp_path, str(tmp_path / "x.zip"), QUIET)


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_xares_esc50(tmp_path / "tars")
    monkeypatch.setattr("benchmark.tools.data.room.SPARE", 10**18)
    with pytest.raises(BenchmarkError, match="are free, too little to unpack"):
        unpack_tars(xares("esc50"), tmp_path, str(folder), QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["tars"]
