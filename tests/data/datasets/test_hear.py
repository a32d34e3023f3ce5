"""HEAR's task folders: splits, folds, several labels, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data.class_gaps import class_gaps
from benchmark.data.manifest import Manifest
from benchmark.data.registry import get_dataset, own_names
from benchmark.data.validation_split import hold_out
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.spec.request import MEASURED_DATASETS, TrialRequest
from benchmark.trial.selection import choosing_folds, selection_rule
from tests.data.public_trees import hear_folds, write_hear

RESAMPLED = "files of 48000 Hz are resampled to 16000 Hz; HEAR has its own files of 16000 Hz"
FULL = "tasks/beijing_opera-v1.0-hear2021-full"


def paths(manifest: Manifest, fold: int) -> dict[str, set[str]]:
    return {
        name: {manifest.clips[i].path.split("/")[1] for i in indices} for name, indices in manifest.splits(fold).items()
    }


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return write_hear(tmp_path / FULL, hear_folds(), vocabulary=["bark", "meow"])


@pytest.mark.usefixtures("task")
def test_each_fold_is_tested_and_the_fold_after_it_validates(tmp_path: Path) -> None:
    """Use folds as data_splits_from_folds of HEAR's evaluation kit does."""
    manifest = get_dataset("hear:beijing_opera").manifest(tmp_path)
    info = manifest.info
    assert (info.classes, info.folds, info.metric, info.seconds) == (("bark", "meow"), (1, 2, 3), "accuracy", 0.5)
    assert paths(manifest, 1) == {"test": {"fold00"}, "validation": {"fold01"}, "train": {"fold02"}}
    assert paths(manifest, 3) == {"test": {"fold02"}, "validation": {"fold00"}, "train": {"fold01"}}
    held_out = hold_out(manifest, 3).manifest
    assert paths(held_out, 0) == {"validation": {"fold00"}, "train": {"fold01"}}
    assert manifest.digest == get_dataset("hear:beijing_opera-v1.0-hear2021-full").manifest(tmp_path).digest


@pytest.mark.usefixtures("task")
def test_the_validation_fold_chooses_the_epoch(tmp_path: Path, make_request: Callable[..., TrialRequest]) -> None:
    info, request = get_dataset("hear:beijing_opera").manifest(tmp_path).info, make_request()
    assert selection_rule(request, info) == "best_on_validation"
    assert choosing_folds(request, info) is None


def test_a_class_only_in_the_validation_fold_has_no_training_clips(tmp_path: Path) -> None:
    parts = hear_folds()
    parts["fold01"]["rare.wav"] = ["purr"]
    write_hear(tmp_path / "spoken_digit-v1-full", parts, vocabulary=["bark", "meow", "purr"])
    manifest = get_dataset("hear:spoken_digit").manifest(tmp_path)
    assert class_gaps(manifest, (1,))[0] == "1 class has no training clips: purr (fold 1)"
    assert not any("training" in line for line in class_gaps(manifest, (3,)))


def test_splits_several_labels_and_numbers_as_labels(tmp_path: Path) -> None:
    parts: dict[str, dict[str, list[str | int]]] = {
        "train": {"a.wav": [60, 61], "b.wav": []},
        "valid": {"c.wav": [62]},
        "test": {"d.wav": [61]},
    }
    write_hear(
        tmp_path / "hear-2021.0.6" / "tasks" / "fsd50k-v1.0-full", parts, vocabulary=[60, 61, 62],
        prediction_type="multilabel", evaluation=["mAP", "d_prime", "aucroc", "top1_acc"],
    )  # fmt: skip
    manifest = get_dataset("hear:fsd50k").manifest(tmp_path)
    info = manifest.info
    assert (info.splits, info.metric, info.classes) == (("train", "validation", "test"), "map", ("60", "61", "62"))
    assert {clip.path: clip.labels for clip in manifest.clips}["48000/train/a.wav"] == (0, 1)
    assert (manifest.remarks, manifest.source) == ((RESAMPLED,), "fsd50k-v1.0-full")
    assert own_names(tmp_path) == ["hear:fsd50k"]


@pytest.mark.parametrize(
    ("evaluation", "remarks"),
    [
        (["pitch_acc", "chroma_acc"], ["chroma_acc of HEAR's evaluation is not computed"]),
        (["top1_acc", "mAP"], []),
        (["mAP", "top1_acc"], ["HEAR's first metric of this task is mAP; the score here is accuracy"]),
        (["aucroc"], ["HEAR's first metric of this task is aucroc; the score here is accuracy"]),
    ],
)
def test_metrics_that_are_not_the_score_are_named(tmp_path: Path, evaluation: list[str], remarks: list[str]) -> None:
    write_hear(tmp_path / "x-1-full", hear_folds(), vocabulary=["bark", "meow"], evaluation=evaluation)
    found = get_dataset("hear:x").manifest(tmp_path).remarks
    assert [line for line in found if "of HEAR's evaluation" in line or "metric" in line] == remarks


def test_files_of_other_sample_rates_are_left_out(task: Path, tmp_path: Path) -> None:
    shutil.copytree(task / "48000", task / "16000")
    (task / "16000" / "fold00" / "more.wav").write_bytes(b"x")
    dataset = get_dataset("hear:beijing_opera")
    groups = {group.reason: group.intended for group in dataset.unused(dataset.manifest(tmp_path))}
    assert groups == {"of another sample rate": True, "not in the metadata": False}


def test_hears_own_files_of_16_khz_are_used_where_they_are(task: Path, tmp_path: Path) -> None:
    assert RESAMPLED in get_dataset("hear:beijing_opera").manifest(tmp_path).remarks
    shutil.copytree(task / "48000", task / "16000")
    manifest = get_dataset("hear:beijing_opera").manifest(tmp_path)
    assert {clip.path.split("/")[0] for clip in manifest.clips} == {"16000"}
    assert not any("resampled" in line for line in manifest.remarks)


@pytest.mark.parametrize(
    ("values", "remark"),
    [
        ({"mode": "small"}, "is HEAR's small set, for debugging: results are not those of the task"),
        ({"mode": "50h", "default_mode": "5h"}, "is the set '50h' of the task, not '5h', HEAR's default"),
        ({"mode": "5h", "default_mode": "5h"}, None),
        ({"mode": "full", "default_mode": "full"}, None),
    ],
)
def test_version_and_mode_are_the_source_and_an_unusual_one_is_named(
    values: dict[str, str], remark: str | None, tmp_path: Path
) -> None:
    folder = tmp_path / f"nsynth_pitch-v2-{values['mode']}"
    write_hear(folder, hear_folds(), vocabulary=["bark", "meow"], rate="16000", **values)
    manifest = get_dataset("hear:nsynth_pitch").manifest(tmp_path)
    suffix = f" ({values['mode']})" if remark else ""
    assert (manifest.source, manifest.info.label) == (folder.name, f"HEAR nsynth_pitch{suffix}")
    found = [line for line in manifest.remarks if line.startswith(folder.name)]
    assert found == ([f"{folder.name} {remark}"] if remark else [])


@pytest.mark.usefixtures("task")
def test_what_is_refused(tmp_path: Path) -> None:
    for name, message in {
        "hear:maestro": "maestro is a task of events in time",
        "hear:dcase2016_task2-hear2021-full": "is a task of events in time",
        "hear:beijing_oprea": r"no task of HEAR, and no folder .* \(did you mean 'beijing_opera'\?\)",
        "hear:a/b": "expected hear:TASK",
    }.items():
        with pytest.raises(BenchmarkError, match=message) as caught:
            get_dataset(name).manifest(tmp_path)
        assert "\n" not in str(caught.value)
    with pytest.raises(
        MissingInputError, match=r"hear:esc50: no folder esc50 or esc50-VERSION-MODE .*zenodo.*--from FILE"
    ):
        get_dataset("hear:esc50").manifest(tmp_path)
    write_hear(tmp_path / "tasks" / "beijing_opera-v1.0-hear2021-small", hear_folds(), vocabulary=["bark", "meow"])
    with pytest.raises(BenchmarkError, match=r"-full and .*-small are under .*; name one, as hear:beijing_opera-v1"):
        get_dataset("hear:beijing_opera").manifest(tmp_path)
    assert own_names(tmp_path) == [f"hear:beijing_opera-v1.0-hear2021-{mode}" for mode in ("full", "small")]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("task_metadata.json", '"scene"', '"event"', "is a task of events in time"),
        ("task_metadata.json", "new_split_kfold", "odd", "split_mode 'odd' is not known"),
        ("task_metadata.json", '"splits"', '"parts"', "has no list 'splits'"),
        ("task_metadata.json", '"fold01"', '"../fold01"', r"split '\.\./fold01' is not the name of a folder"),
        ("task_metadata.json", "{", "", "cannot be read"),
        ("fold01.json", '"bark"', '"roar"', r"fold01\.json: bark-1-0\.wav: 'roar' is not in labelvocabulary\.csv"),
        ("fold01.json", '"bark"', '"bark", "meow"', "has 2 labels, the task is multiclass"),
        ("fold01.json", "bark-1-0.wav", "../x.wav", "is not a file name"),
        ("labelvocabulary.csv", "1,", "0,", "has an index twice"),
    ],
)
def test_bad_metadata_is_one_clear_line(
    task: Path, tmp_path: Path, file: str, old: str, new: str, message: str
) -> None:
    path = task / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(BenchmarkError, match=message) as caught:
        get_dataset("hear:beijing_opera").manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_listed_file_that_is_not_there_is_absent(task: Path, tmp_path: Path) -> None:
    table = json.loads((task / "fold00.json").read_text())
    (task / "fold00.json").write_text(json.dumps({**table, "gone.wav": ["bark"]}))
    [absent] = get_dataset("hear:beijing_opera").manifest(tmp_path).absent
    assert absent.path == "48000/fold00/gone.wav"


def test_prefixes_of_requests_are_those_of_the_registry() -> None:
    from benchmark.data.sources import PREFIXES

    assert set(MEASURED_DATASETS) == set(PREFIXES)
