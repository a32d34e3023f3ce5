"""Tasks of HEAR 2021: `hear:TASK` is a task folder as hear-preprocess writes it.

The layout is that of hearbenchmark/hear-preprocess@610d864, hearpreprocess/pipeline.py; splits and folds are used as in
hearbenchmark/hear-eval-kit@8559649, heareval/predictions/task_predictions.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from benchmark.commands import command
from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.datasets.folder import is_folder_name
from benchmark.data.manifest import Clip, Manifest, Split
from benchmark.data.measured_dataset import Listing, MeasuredDataset
from benchmark.data.metadata_files import folder_names, one_of, read_rows
from benchmark.data.unused import Unused, find_unused
from benchmark.errors import BenchmarkError, MissingInputError, closest

METADATA, VOCABULARY = "task_metadata.json", "labelvocabulary.csv"
SMALL = "small"
RATES = ("16000", "22050", "32000", "44100", "48000")  # the first one that is there is used
SCENE_TASKS = (
    "beehive_states_fold0", "beehive_states_fold1", "beijing_opera", "coughvid", "esc50", "fsd50k",
    "gunshot_triangulation", "libricount", "mridangam_stroke", "mridangam_tonic", "nsynth_pitch", "nsynth_pitch_kfold",
    "speech_commands", "spoken_digit", "tfds_crema_d", "tfds_gtzan", "tfds_gtzan_music_speech", "vocal_imitation",
    "vox_lingua_top10",
)  # fmt: skip
EVENT_TASKS = ("dcase2016_task2", "maestro")
SPLITS: dict[str, Split] = {"train": "train", "valid": "validation", "test": "test"}
# HEAR's metrics that are the suite's own score of a trial; map, mauc and d_prime of every trial are in its record, too
SCORES = {"top1_acc": "accuracy", "pitch_acc": "accuracy", "mAP": "map"}
RECORDED = {"mAP", "d_prime", "aucroc"}
HOMEPAGE = "https://doi.org/10.5281/zenodo.5885750"
LINKS = "https://hearbenchmark.com/hear-tasks.html"


class Hear(MeasuredDataset):
    """Read `TASK-VERSION-MODE/{task_metadata.json,labelvocabulary.csv,SPLIT.json,RATE/SPLIT/*.wav}`.

    Folds are counted from 1: `fold00` is fold 1. As in HEAR, the fold after the test fold is for validation.

    Args:
        task: name of a task, or of its folder.

    Raises:
        BenchmarkError: a task of events, or a name that no folder can have.
    """

    PREFIX = "hear:"

    def __init__(self, task: str) -> None:
        if task.partition("-")[0] in EVENT_TASKS:
            raise BenchmarkError(f"{self.PREFIX}{task}: {_events(task)}")
        if not is_folder_name(task):
            raise BenchmarkError(f"{self.PREFIX}{task}: expected {self.PREFIX}TASK{closest(task, SCENE_TASKS)}")
        self.info = DatasetInfo(
            name=f"{self.PREFIX}{task}",
            label=f"HEAR {task}",
            description="a task of HEAR 2021",
            folders=(task,),
            classes=(),
            clips=0,
            seconds=0,
            metric="accuracy",
            licence="its publisher's",
            homepage=HOMEPAGE,
            citation="J. Turian et al., HEAR: Holistic Evaluation of Audio Representations, PMLR 176, 2022",
            by_hand=f"get the archive of the task from {HOMEPAGE} (48000 Hz; 16000 Hz: {LINKS})",
            splits=("train", "test"),
        )

    def recognises(self, folder: Path) -> bool:
        """Return whether a folder is one of this task."""
        task = self.info.folders[0]
        return (folder.name == task or folder.name.startswith(f"{task}-")) and (folder / METADATA).is_file()

    def folder_name(self, found: Path) -> str:
        """Return the name of an unpacked folder: its own, which has version and mode."""
        return found.name

    def locate(self, data_root: Path) -> Path | None:
        """Return the task's folder; None if it does not exist. See `Dataset.locate`."""
        return next(iter(self._found(data_root)), None)

    def _found(self, data_root: Path) -> list[Path]:
        """Return the folder of this task and its copies; the exact name wins over others.

        Raises:
            BenchmarkError: there are several versions or modes of the task.
        """
        fitting = [place for place in _task_folders(data_root) if self.recognises(place)]
        exact = [place for place in fitting if place.name == self.info.folders[0]]
        names = sorted({place.name for place in fitting})
        if len(names) > 1 and not exact:
            raise BenchmarkError(
                f"{self.info.name}: {' and '.join(names)} are under {data_root}; name one, as {self.PREFIX}{names[0]}"
            )
        return exact or fitting

    def _copies(self, data_root: Path) -> list[Path]:
        if found := self._found(data_root):
            return found
        task = self.info.folders[0]
        if task.partition("-")[0] not in SCENE_TASKS:
            raise BenchmarkError(
                f"{self.info.name}: no task of HEAR, and no folder {task} with {METADATA} under {data_root}"
                f"{closest(task, SCENE_TASKS)}"
            )
        unpack = command("data", "prepare", self.info.name, "--from", "FILE", "--data-root", data_root)
        raise MissingInputError(
            f"{self.info.name}: no folder {task} or {task}-VERSION-MODE under {data_root}; {self.info.by_hand} and "
            f"unpack it with `{unpack}`"
        )

    def listing(self, folder: Path) -> Listing:
        """Read the metadata of the task; see `MeasuredDataset.listing`."""
        metadata = _read_json(folder / METADATA)
        if metadata.get("embedding_type") != "scene":
            raise BenchmarkError(f"{folder / METADATA}: {_events(folder.name)}")
        classes = _vocabulary(folder / VOCABULARY)
        numbers = {label: number for number, label in enumerate(classes)}
        multi_label = metadata.get("prediction_type") == "multilabel"
        places, validation_fold = _parts(folder / METADATA, metadata)
        rate = next((rate for rate in RATES if (folder / rate).is_dir()), None)
        if rate is None:
            raise BenchmarkError(f"{folder}: has no folder of audio ({', '.join(RATES)})")
        clips = []
        for part, (split, fold) in places.items():
            table = folder / f"{part}.json"
            for name, given in sorted(_read_json(table).items()):
                labels = [str(label) for label in given] if isinstance(given, list) else []
                if unknown := [label for label in labels if label not in numbers]:
                    raise BenchmarkError(f"{table}: {name}: '{unknown[0]}' is not in {VOCABULARY}")
                if not multi_label and len(set(labels)) != 1:
                    raise BenchmarkError(f"{table}: {name}: has {len(set(labels))} labels, the task is multiclass")
                if PurePosixPath(name).name != name:
                    raise BenchmarkError(f"{table}: '{name}' is not a file name")
                indices = tuple(sorted({numbers[label] for label in labels}))
                path = f"{rate}/{part}/{name}"
                clips.append(Clip.at(folder, path, indices, place=str(table), split=split, fold=fold))
        mode, usual = _mode(folder.name, metadata), str(metadata.get("default_mode") or "full")
        remarks = [
            *_version_remarks(folder.name, mode, usual, rate),
            *_remarks(metadata, multi_label=multi_label, has_folds=validation_fold),
        ]
        seconds = metadata.get("sample_duration") or 0
        label = self.info.label if mode == usual or self.info.label.endswith(mode) else f"{self.info.label} ({mode})"
        return Listing(clips, classes, remarks, multi_label, validation_fold, seconds, folder.name, label)

    def unused(self, manifest: Manifest) -> list[Unused]:
        """Return the files of the folder that are not used, by reason; the other sample rates are left out."""
        rate = manifest.clips[0].path.partition("/")[0]

        def left_out(path: PurePosixPath) -> str | None:
            return "of another sample rate" if path.parts[0] in RATES and path.parts[0] != rate else None

        return find_unused(manifest, left_out, self.misplaced)


def hear_names(data_root: Path) -> dict[Path, str]:
    """Return the names of the scene tasks under a data root, by folder: that of the task where it has one folder."""
    folders = [place for place in _task_folders(data_root) if place.name.partition("-")[0] not in EVENT_TASKS]
    tasks = [place.name.partition("-")[0] for place in folders]
    return {place: task if tasks.count(task) == 1 else place.name for place, task in zip(folders, tasks, strict=True)}


def _task_folders(data_root: Path) -> Iterator[Path]:
    """Yield the task folders under a data root, also in `tasks`, `hear*` and `hear*/tasks`, as archives have them."""
    if not data_root.is_dir():
        return
    tops = [data_root / name for name in folder_names(data_root)]
    archives = [place for place in tops if place.name.startswith("hear")]
    within = [data_root / "tasks", *archives, *(place / "tasks" for place in archives)]
    for place in [*tops, *(base / name for base in within if base.is_dir() for name in folder_names(base))]:
        if (place / METADATA).is_file():
            yield place


def _events(task: str) -> str:
    return f"{task} is a task of events in time; only tasks with labels for whole clips (scene) can be trained"


def _read_json(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file.

    Raises:
        BenchmarkError: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise BenchmarkError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def _vocabulary(path: Path) -> tuple[str, ...]:
    """Return the classes in the order of their indices."""
    rows = list(read_rows(path, ("idx", "label")))
    by_index = {one_of(place, "idx", row["idx"], range(max(1, len(rows)))): row["label"] for place, row in rows}
    if len(by_index) < len(rows):
        raise BenchmarkError(f"{path}: has an index twice")
    return tuple(by_index[index] for index in range(len(rows)))


def _parts(path: Path, metadata: Mapping[str, Any]) -> tuple[dict[str, tuple[Split | None, int | None]], bool]:
    """Return split and fold of each part of a task, and whether it has folds."""
    names, mode = metadata.get("splits"), metadata.get("split_mode")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise BenchmarkError(f"{path}: has no list 'splits'")
    if wrong := next((name for name in names if not is_folder_name(name)), None):
        raise BenchmarkError(f"{path}: split '{wrong}' is not the name of a folder of the task")
    if mode == "trainvaltest":
        if unknown := [name for name in names if name not in SPLITS]:
            raise BenchmarkError(f"{path}: split '{unknown[0]}' is not one of {', '.join(SPLITS)}")
        return {name: (SPLITS[name], None) for name in names}, False
    if mode in {"new_split_kfold", "presplit_kfold"}:
        if len(names) < 3:
            raise BenchmarkError(f"{path}: has {len(names)} folds; test, validation and training need three")
        return {name: (None, number) for number, name in enumerate(sorted(names), start=1)}, True
    raise BenchmarkError(f"{path}: split_mode {mode!r} is not known")


def _mode(name: str, metadata: Mapping[str, Any]) -> str:
    """Return the mode of a task folder, such as `full`, `5h` or `small`."""
    return str(metadata.get("mode") or name.rpartition("-")[2])


def _version_remarks(name: str, mode: str, usual: str, rate: str) -> list[str]:
    """Return how the clips of a folder differ from those on which HEAR evaluates a model of 16 kHz."""
    remarks = []
    if mode == SMALL:
        remarks.append(f"{name} is HEAR's {SMALL} set, for debugging: results are not those of the task")
    elif mode != usual:
        remarks.append(f"{name} is the set '{mode}' of the task, not '{usual}', HEAR's default")
    if rate != RATES[0]:
        remarks.append(f"files of {rate} Hz are resampled to {RATES[0]} Hz; HEAR has its own files of {RATES[0]} Hz")
    return remarks


def _remarks(metadata: Mapping[str, Any], *, multi_label: bool, has_folds: bool) -> list[str]:
    """Return what differs from HEAR's own evaluation."""
    score = "map" if multi_label else "accuracy"
    listed = [str(name) for name in metadata.get("evaluation", [])]
    remarks = []
    if has_folds:
        remarks.append("folds are counted from 1: fold00 is fold 1; as in HEAR, the fold after it is for validation")
    if listed and SCORES.get(listed[0]) != score:
        remarks.append(f"HEAR's first metric of this task is {listed[0]}; the score here is {score}")
    if other := [name for name in listed if name not in SCORES and name not in RECORDED]:
        remarks.append(f"{' and '.join(other)} of HEAR's evaluation {'are' if other[1:] else 'is'} not computed")
    return remarks
