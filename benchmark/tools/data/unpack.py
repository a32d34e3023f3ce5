"""Write the recordings of a public format as files beside one table, completely or not at all."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from benchmark.data.manifest import Split
from benchmark.data.unpacked import TABLE, Unpacked, UnpackedClip, UnpackedDataset
from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.tools.data.room import Room

LONGEST = 100  # characters of a file name
# beginnings of files, for recordings without a name
MAGIC = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3", b"FORM": ".aiff"}


class Recorded(NamedTuple):
    """A recording of a public format.

    Attributes:
        name: of its file; may be empty.
        content: of its file.
        labels: names of its classes.
        split: its split; None where there are folds, or where clips are dealt to folds.
        fold: its fold, from 1; None where there are splits.
        group: what it shares with other recordings; empty for nothing.
    """

    name: str
    content: bytes
    labels: tuple[str, ...]
    split: Split | None = None
    fold: int | None = None
    group: str = ""

    @property
    def part(self) -> str:
        """Return the name of the folder of its split or fold."""
        return self.split or (f"fold{self.fold}" if self.fold else "clips")


@dataclass(frozen=True)
class Origin:
    """Where recordings come from.

    Attributes:
        place: absolute path or address.
        source: which version of a published repository it is; None if that is not known.
        classes: in the order of their indices; None to sort the labels that occur.
        multi_label: whether a clip can have several labels.
        remarks: what was read in another way than it is written.
    """

    place: str
    source: str | None
    classes: Sequence[str] | None
    multi_label: bool
    remarks: Sequence[str] = ()


def unpack(dataset: UnpackedDataset, data_root: Path, recordings: Iterable[Recorded], origin: Origin) -> Path:
    """Write recordings and their table into a temporary folder, check it, and move it to its place.

    Args:
        dataset: what is unpacked.
        data_root: where its folder goes.
        recordings: in the order of the format.
        origin: where they come from.

    Returns:
        The dataset's folder.

    Raises:
        NoRoomError: the disk is full.
        BenchmarkError: a recording cannot be read, or the clips cannot be used for training and testing.
    """
    place = data_root / dataset.info.folders[0]
    if place.exists():
        raise BenchmarkError(f"{place}: exists already; remove it to unpack it again")
    data_root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_root, prefix=".prepare-") as temporary:
        draft = Path(temporary) / "draft"
        draft.mkdir()
        room = Room(draft)
        used: set[str] = set()  # in lower case: file systems may not know the difference
        listed: list[tuple[str, Recorded]] = []
        for recording in recordings:
            path = _unused_path(recording, used)
            used.add(path.lower())
            room.take(len(recording.content))
            (draft / path).parent.mkdir(exist_ok=True)
            (draft / path).write_bytes(recording.content)
            listed.append((path, recording._replace(content=b"")))
        table = _table(dataset, listed, origin)
        write_atomic(draft / TABLE, table.model_dump_json().encode())
        try:
            dataset.manifest_of(draft)
        except BenchmarkError as error:
            raise BenchmarkError(str(error).replace(f"{draft}: ", f"{dataset.info.name}: ")) from None
        place.parent.mkdir(exist_ok=True)
        draft.rename(place)
    return place


def _table(dataset: UnpackedDataset, listed: Sequence[tuple[str, Recorded]], origin: Origin) -> Unpacked:
    classes = origin.classes or sorted({label for _, recording in listed for label in recording.labels}, key=_natural)
    numbers = {label: number for number, label in enumerate(classes)}
    clips = [
        UnpackedClip(
            path,
            tuple(sorted({numbers[label] for label in recording.labels})),
            recording.split,
            recording.fold,
            recording.group,
        )
        for path, recording in sorted(listed, key=lambda row: row[0])
    ]
    return Unpacked(
        name=dataset.info.name,
        origin=origin.place,
        source=origin.source,
        classes=tuple(classes),
        multi_label=origin.multi_label,
        remarks=tuple(origin.remarks),
        clips=tuple(clips),
    )


def _natural(label: str) -> tuple[int, int, str]:
    """Return what whole numbers are sorted by as numbers, before all other labels."""
    return (0, int(label), "") if re.fullmatch(r"[0-9]{1,9}", label) else (1, 0, label)


def _unused_path(recording: Recorded, used: Collection[str]) -> str:
    """Return the path of a new file; names that occur twice are numbered."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", PurePosixPath(recording.name.replace("\\", "/")).name).lstrip(".-")
    stem, dot, ending = name.rpartition(".")
    if not dot or not ending or len(ending) > 5:
        stem, ending = (
            name,
            next((end for magic, end in MAGIC.items() if recording.content.startswith(magic)), ".audio"),
        )
    else:
        ending = f".{ending}"
    stem = stem[-LONGEST:] or "clip"
    candidate, number = f"{recording.part}/{stem}{ending}", 1
    while candidate.lower() in used:
        number += 1
        candidate = f"{recording.part}/{stem}-{number}{ending}"
    return candidate
