"""Speech Commands V1 (v0.01): 30 spoken words."""

from __future__ import annotations

from benchmark.data.speech_commands import WORDS_V1, SpeechCommands

DATASET = SpeechCommands(version=1, words=WORDS_V1, clips=64_721)
