"""What both versions of Speech Commands share: word folders and two lists of files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from benchmark.data.clips import Clip
from benchmark.data.facts import DatasetFacts
from benchmark.data.registry import Dataset
from benchmark.data.tables import read_lines
from benchmark.errors import BenchmarkError

NOISE_FOLDER = "_background_noise_"
Split = Literal["train", "validation", "test"]

WORDS_V1 = (
    "bed bird cat dog down eight five four go happy house left marvin nine no off on one right seven sheila six stop "
    "three tree two up wow yes zero"
).split()
WORDS_V2 = sorted([*WORDS_V1, "backward", "follow", "forward", "learn", "visual"])


class SpeechCommands(Dataset):
    """Word folders with `validation_list.txt` and `testing_list.txt`; what neither lists is for training.

    All words as a closed set; not the 12-way task that other benchmarks make of it.
    """

    def __init__(self, *, version: int, words: Sequence[str], clips: int) -> None:
        folder = f"speech_commands_v0.0{version}"
        self.facts = DatasetFacts(
            name=f"speech_commands_v{version}",
            label=f"Speech Commands V{version}",
            description=f"{clips} recordings of {len(words)} words, up to 1 s, official validation and test lists",
            folders=(folder,),
            classes=tuple(words),
            clips=clips,
            seconds=1,
            metric="accuracy",
            licence="CC BY 4.0",
            homepage="https://www.tensorflow.org/datasets/catalog/speech_commands",
            citation="P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, 2018",
            by_hand=(
                f"get http://download.tensorflow.org/data/{folder}.tar.gz, make that folder and unpack the archive, "
                "which has no top folder, inside it"
            ),
            splits=("train", "validation", "test"),
        )

    def read(self, folder: Path) -> list[Clip]:
        """One clip a WAV file of the word folders; see `Dataset.read`."""
        listed: dict[str, Split] = dict.fromkeys(read_lines(folder / "validation_list.txt"), "validation")
        for path in read_lines(folder / "testing_list.txt"):
            if path in listed:
                raise BenchmarkError(f"{folder}: {path} is in both validation_list.txt and testing_list.txt")
            listed[path] = "test"
        words = [entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith((".", "_"))]
        if unknown := sorted(set(words) - set(self.facts.classes)):
            raise BenchmarkError(f"{folder}: folder '{unknown[0]}' is no word of {self.facts.label}")
        clips = []
        for word in sorted(words):
            label = (self.facts.classes.index(word),)
            for entry in os.scandir(folder / word):
                if entry.name.endswith(".wav") and not entry.name.startswith("."):
                    path = f"{word}/{entry.name}"
                    clips.append(Clip(path, entry.stat().st_size, label, split=listed.get(path, "train")))
        return sorted(clips, key=lambda clip: clip.path)
