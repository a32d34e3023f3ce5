"""ESC-50's official layout, whole, partial, synthetic and broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data.dataset import Dataset
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError, MissingInputError


@pytest.fixture
def esc50() -> Dataset:
    return get_dataset("esc50")


@pytest.fixture
def tree(data_root: Path, tmp_path: Path) -> Path:
    """A copy of the small tree, to damage."""
    shutil.copytree(data_root / "ESC-50-master", tmp_path / "ESC-50-master")
    return tmp_path


def full_tree(root: Path) -> Path:
    """All 2000 official rows with empty files."""
    from benchmark.data.datasets.esc50 import CLASSES, COLUMNS

    folder = root / "ESC-50-master"
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    rows = [",".join(COLUMNS)]
    for fold in range(1, 6):
        for target, name in enumerate(CLASSES):
            for take in "ABCDEFGH":
                file = f"{fold}-{1000 * fold + target}-{take}-{target}.wav"
                (folder / "audio" / file).touch()
                rows.append(f"{file},{fold},{target},{name},False,{1000 * fold + target},{take}")
    (folder / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
    return root


def test_the_whole_dataset(esc50: Dataset, tmp_path: Path) -> None:
    manifest = esc50.manifest(full_tree(tmp_path))
    assert (manifest.kind, len(manifest.clips)) == ("complete", 2000)
    for fold in range(1, 6):
        splits = manifest.splits(fold)
        assert (len(splits["train"]), len(splits["test"])) == (1600, 400)
        assert {manifest.clips[i].fold for i in splits["test"]} == {fold}
        assert not set(splits["train"]) & set(splits["test"])
        assert manifest.splits(fold) is splits  # a plan asks for every trial


def test_real_recordings_are_partial(esc50: Dataset, esc10_root: Path) -> None:
    manifest = esc50.manifest(esc10_root)
    assert (manifest.kind, len(manifest.clips)) == ("partial", 400)
    assert {clip.labels for clip in manifest.clips} == {(t,) for t in (0, 1, 10, 11, 12, 20, 21, 38, 40, 41)}


def test_synthetic_is_marked_and_reproducible(esc50: Dataset, data_root: Path, tmp_path: Path) -> None:
    again = esc50.synthesize(tmp_path, classes=3, clips_per_class=1, seed=0).parent
    assert esc50.manifest(again).digest == esc50.manifest(data_root).digest
    for clip in esc50.manifest(again).clips:
        first, second = (root / "ESC-50-master" / clip.path for root in (again, data_root))
        assert first.read_bytes() == second.read_bytes()
    assert esc50.manifest(data_root).kind == "synthetic"


def test_synthesis_never_touches_other_data(esc50: Dataset, esc10_root: Path) -> None:
    with pytest.raises(BenchmarkError, match="exists already with other data"):
        esc50.synthesize(esc10_root, classes=3, clips_per_class=1, seed=0)


def test_the_digest_changes_with_the_clips(esc50: Dataset, tree: Path) -> None:
    before = esc50.manifest(tree).digest
    clip = next((tree / "ESC-50-master" / "audio").iterdir())
    clip.write_bytes(clip.read_bytes() + b"\0")
    assert esc50.manifest(tree).digest != before


def test_the_digest_is_computed_once_for_all_trials(esc50: Dataset, data_root: Path) -> None:
    manifest = esc50.manifest(data_root)
    assert manifest.digest is manifest.digest


def test_no_folder_says_where_to_get_it(esc50: Dataset, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"ESC-50: no folder .*github\.com/karolpiczak"):
        esc50.manifest(tmp_path)


def replace(old: str, new: str) -> Callable[[Path], None]:
    def change(table: Path) -> None:
        text = table.read_text()
        assert old in text
        table.write_text(text.replace(old, new, 1))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, r"esc50\.csv: cannot be read"),
        (lambda table: table.write_bytes(b"\xff\xfe\xfa"), r"esc50\.csv: "),
        (lambda table: table.write_text(""), "column 'category' is missing"),
        (replace("filename,fold", "filename,folds"), "column 'fold' is missing"),
        (replace(".wav,1,0,", ".wav,6,0,"), "line 2: fold '6' is not one of 1..5"),
        (replace(".wav,1,0,", ".wav,1,50,"), r"line 2: target '50' is not one of 0\.\.49"),
        (replace(".wav,1,0,dog", ".wav,1,0,cat"), "line 2: target 0 is 'dog', not 'cat'"),
        (replace("\n1-", "\n../1-"), "is not a file name"),
        (replace("\n1-", "\n9-"), r"line 2: file name '9-.*' does not match fold 1 and target 0"),
        (lambda table: table.write_text(table.read_text() + table.read_text().splitlines()[1]), "is listed twice"),
    ],
)
def test_a_broken_tree_is_one_clear_line(
    esc50: Dataset, tree: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(tree / "ESC-50-master" / "meta" / "esc50.csv")
    with pytest.raises(BenchmarkError, match=message) as caught:
        esc50.manifest(tree)
    assert "\n" not in str(caught.value)
