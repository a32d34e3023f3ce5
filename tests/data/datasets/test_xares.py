"""The table of X-ARES' tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.data.datasets.xares import Xares, tasks
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError, MissingInputError

NAMES = """
asvspoof2015 cremad esc50 fluentspeechcommands freemusicarchive fsd50k fsdkaggle2018 gtzan_genre libricount
librispeechmalefemale nsynthinstument ravdess speechcommandsv1 urbansound8k vocalimitations vocalsound voxceleb1
voxlingua33
""".split()


def test_every_public_task_of_clips_is_there() -> None:
    assert sorted(tasks().tasks) == NAMES
    for name, task in tasks().tasks.items():
        splits = {split for _, split, _ in task.parts}
        assert splits == {None} if task.folds else {"train", "test"} <= splits, name
        assert all(pattern.endswith(".tar") and "{" not in pattern for pattern, _, _ in task.parts)


def test_names_of_tars_by_fold() -> None:
    parts = tasks().tasks["libricount"].parts
    assert parts[0] == ("libricount_fold00.tar", None, 1)
    assert parts[-1] == ("libricount_fold04.tar", None, 5)
    assert tasks().tasks["esc50"].parts[0] == ("wds-audio-fold-1-*.tar", None, 1)


def test_what_is_refused(tmp_path: Path) -> None:
    for name, message in {
        "clotho": "retrieval of captions; only public tasks with labels for whole clips can be run",
        "desed": "labels of moments",
        "esc5": r"no task of X-ARES \(did you mean 'esc50'\?\)",
    }.items():
        with pytest.raises(BenchmarkError, match=message):
            get_dataset(f"xares:{name}")
    with pytest.raises(
        MissingInputError, match=r"no .*xares/ravdess; get its tars \(https://zenodo.org/records/14722524\)"
    ):
        get_dataset("xares:ravdess").manifest(tmp_path)
    assert Xares("ravdess").archive_address == "https://zenodo.org/api/records/14722524/files-archive"
