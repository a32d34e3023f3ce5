"""Small trees in the exact formats of HEAR, X-ARES and the library `datasets`, with generated sounds."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16_000


def sound(pitch: int, number: int, file_format: str = "WAV") -> bytes:
    """Return half a second of a noisy tone as a file's content."""
    generator = np.random.default_rng([abs(pitch), number])
    wave = 0.3 * np.sin(2 * np.pi * 220 * (pitch + 1) * np.arange(RATE // 2) / RATE)
    file = io.BytesIO()
    soundfile.write(file, wave + generator.normal(0, 0.02, len(wave)), RATE, format=file_format)
    return file.getvalue()


def write_hear(
    folder: Path,
    parts: Mapping[str, Mapping[str, Sequence[str | int]]],
    *,
    vocabulary: Sequence[str | int],
    rate: str = "48000",
    **metadata: Any,
) -> Path:
    """Write a task folder as hear-preprocess does.

    Args:
        folder: `TASK-VERSION-MODE`.
        parts: labels by file name, by split or fold.
        vocabulary: labels in the order of their indices.
        rate: folder of the audio.
        metadata: other values of `task_metadata.json` than the usual ones.
    """
    folder.mkdir(parents=True)
    folds = "train" not in parts
    values: dict[str, Any] = {
        "task_name": folder.name.partition("-")[0],
        "version": "v1",
        "embedding_type": "scene",
        "prediction_type": "multiclass",
        "split_mode": "new_split_kfold" if folds else "trainvaltest",
        "sample_duration": 0.5,
        "evaluation": ["top1_acc", "mAP", "d_prime", "aucroc"],
        "splits": list(parts),
        "mode": "full",
    }
    (folder / "task_metadata.json").write_text(json.dumps(values | metadata, indent=True))
    rows = "".join(f"{number},{label}\n" for number, label in enumerate(vocabulary))
    (folder / "labelvocabulary.csv").write_text(f"idx,label\n{rows}")
    for part, clips in parts.items():
        (folder / f"{part}.json").write_text(json.dumps(clips, indent=True))
        (folder / f"labelcount_{part}.json").write_text("{}")
        (folder / rate / part).mkdir(parents=True)
        for number, (name, labels) in enumerate(clips.items()):
            pitch = list(vocabulary).index(labels[0]) if labels else 9
            (folder / rate / part / name).write_bytes(sound(pitch, number))
    return folder


def hear_folds(folds: int = 3, classes: Sequence[str] = ("bark", "meow"), clips: int = 2) -> dict[str, dict[str, Any]]:
    """Return the labels of a task with folds."""
    return {
        f"fold{fold:02d}": {f"{label}-{fold}-{i}.wav": [label] for label in classes for i in range(clips)}
        for fold in range(folds)
    }


def write_tar(path: Path, clips: Sequence[tuple[str, bytes, object]], ending: str = "wav") -> Path:
    """Write a tar as webdataset does: the audio and the JSON of each clip, one after the other.

    Args:
        path: of the tar.
        clips: name, audio and content of the JSON; None for no JSON.
        ending: of the audio files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, audio, values in clips:
            files = {ending: audio} if values is None else {ending: audio, "json": json.dumps(values).encode()}
            for kind, content in files.items():
                member = tarfile.TarInfo(f"{name}.{kind}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def write_xares_esc50(folder: Path, classes: int = 2) -> Path:
    """Write X-ARES' tars of ESC-50, two for each fold, one clip of each class and fold."""
    for fold in range(1, 6):
        for shard in range(2):
            clips = [
                (f"{fold}-{label}-A-{label}", sound(label, fold), {"label": label})
                for label in range(shard, classes, 2)
            ]
            write_tar(folder / f"wds-audio-fold-{fold}-0{shard:05d}.tar", clips)
    return folder


def write_xares_ravdess(folder: Path) -> Path:
    """Write X-ARES' tars of RAVDESS, one clip of each of its eight classes in each of its four folds."""
    for fold in range(4):
        clips = [(f"{fold}-{label}", sound(label, fold), {"emotion": f"emotion{label}"}) for label in range(8)]
        write_tar(folder / f"ravdess_fold_{fold}_0000000.tar", clips)
    return folder


def hub_rows(labels: Sequence[Any], file_format: str = "WAV", **columns: Sequence[Any]) -> Any:
    """Return a dataset of the library with the columns `audio` and `label`.

    Args:
        labels: of each row: numbers of the classes dog, cat, cow; texts; or lists of either.
        file_format: of the audio.
        columns: further columns.
    """
    from datasets import Audio, ClassLabel, Dataset, Features, Value

    names = ClassLabel(names=["dog", "cat", "cow"])
    first = labels[0][0] if isinstance(labels[0], list) else labels[0]
    kind: Any = names if isinstance(first, int) else Value("string")
    stored = {"bytes": Value("binary"), "path": Value("string")}
    features = Features({"audio": stored, "label": [kind] if isinstance(labels[0], list) else kind})
    pitches = [len(str(label)) if isinstance(label, str) else label for label in labels]
    audio = [
        {
            "bytes": sound(pitch if isinstance(pitch, int) else 5, number, file_format),
            "path": f"clip{number}.{file_format.lower()}",
        }
        for number, pitch in enumerate(pitches)
    ]
    rows = Dataset.from_dict({"audio": audio, "label": list(labels)}, features=features)
    for name, values in columns.items():
        rows = rows.add_column(name, list(values))
    return rows.cast_column("audio", Audio(decode=False))


def save_hub(folder: Path, /, **splits: Any) -> Path:
    """Save splits as `save_to_disk` does."""
    from datasets import DatasetDict

    DatasetDict(splits).save_to_disk(str(folder))
    return folder
