"""Speech Commands V1: 30 spoken words."""

from __future__ import annotations

from benchmark.data.facts import DatasetFacts
from benchmark.data.speech_commands import WORDS_V1, SpeechCommands

ARCHIVE = "speech_commands_v0.01.tar.gz"


class SpeechCommandsV1(SpeechCommands):
    """All 30 words as a closed set; not the 12-way task that other benchmarks make of it."""

    facts = DatasetFacts(
        name="speech_commands_v1",
        label="Speech Commands V1",
        description="64,721 recordings of 30 words, up to 1 s, official validation and test lists",
        folders=("speech_commands_v0.01",),
        classes=tuple(WORDS_V1),
        clips=64_721,
        seconds=1,
        metric="accuracy",
        licence="CC BY 4.0",
        homepage="https://www.tensorflow.org/datasets/catalog/speech_commands",
        citation="P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv:1804.03209",
        by_hand=(
            f"get http://download.tensorflow.org/data/{ARCHIVE}, make that folder and unpack the archive, "
            "which has no top folder, inside it"
        ),
        splits=("train", "validation", "test"),
    )


DATASET = SpeechCommandsV1()
