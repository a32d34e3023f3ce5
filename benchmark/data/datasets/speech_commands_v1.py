"""Speech Commands V1 (v0.01): 30 spoken words."""

from __future__ import annotations

from benchmark.data.datasets.speech_commands import WORDS_V1, SpeechCommands

DATASET = SpeechCommands(
    version=1,
    words=WORDS_V1,
    splits={"train": 51_088, "validation": 6_798, "test": 6_835},
    archive=(1_489_096_277, "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d"),
    lists={
        "validation": "b9fe56bfbe815c698ed69313ed44b66e287d204cdfeb1e64b9dfabeb91576f99",
        "test": "de6a21ae6a8d317cfc5e3e2717940d7a9fbb64e97a03f5889a5ee361240eb3c6",
    },
)
