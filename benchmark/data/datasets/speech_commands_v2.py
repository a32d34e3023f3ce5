"""Speech Commands V2 (v0.02): 35 spoken words."""

from __future__ import annotations

from benchmark.data.speech_commands import WORDS_V2, SpeechCommands

DATASET = SpeechCommands(version=2, words=WORDS_V2, clips=105_829)
