"""Speech Commands V2 (v0.02): 35 spoken words."""

from __future__ import annotations

from benchmark.data.datasets.speech_commands import WORDS_V2, SpeechCommands

DATASET = SpeechCommands(
    version=2,
    words=WORDS_V2,
    splits={"train": 84_843, "validation": 9_981, "test": 11_005},
    archive=(2_428_923_189, "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"),
)
