"""Speech Commands V2: 35 spoken words."""

from __future__ import annotations

from benchmark.data.facts import DatasetFacts
from benchmark.data.speech_commands import WORDS_V2, SpeechCommands

ARCHIVE = "speech_commands_v0.02.tar.gz"


class SpeechCommandsV2(SpeechCommands):
    """All 35 words as a closed set; not the 12-way task that other benchmarks make of it."""

    facts = DatasetFacts(
        name="speech_commands_v2",
        label="Speech Commands V2",
        description="105,829 recordings of 35 words, up to 1 s, official validation and test lists",
        folders=("speech_commands_v0.02",),
        classes=tuple(WORDS_V2),
        clips=105_829,
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


DATASET = SpeechCommandsV2()
