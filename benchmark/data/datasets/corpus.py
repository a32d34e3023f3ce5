"""A synthetic corpus for pre-training, read as `folder:pretraining`, with the same kinds of sounds as the datasets."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmark.data.dataset import Synthesizable
from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.datasets.folder import Folder
from benchmark.data.datasets.own_table import TABLE
from benchmark.data.manifest import Clip
from benchmark.data.synthetic import (
    Sound,
    Wave,
    clip_seed,
    event,
    genre,
    instruments,
    record,
    scene,
    spoken,
    texture,
    word,
    write_table,
)
from benchmark.data.synthetic.spoken import PROGRAM, WORDS, is_installed

NAME = "pretraining"
RATE = 16_000
SECONDS = 1.28
FIRST = 1000  # no dataset has as many classes, so that no sound belongs to a class of a dataset
SPEAKERS = 10**6  # number of the first speaker; synthetic Speech Commands count from 0
SPOKEN = "spoken"
CLIPS_PER_CLASS = 36
logger = logging.getLogger(__name__)

_KINDS: dict[str, tuple[int, Callable[[int, int, float], Wave]]] = {
    "scene": (360, lambda label, clip, seconds: scene(label, clip, seconds, RATE)),
    "texture": (40, lambda label, clip, seconds: texture(label, clip, seconds, RATE)),
    "event": (40, lambda label, clip, seconds: event(label, clip, seconds, RATE)),
    "word": (100, lambda label, clip, seconds: word(label, SPEAKERS + clip, clip, RATE, min(1.0, seconds))),
    SPOKEN: (len(WORDS), lambda label, clip, seconds: spoken(label - FIRST, clip, seconds, RATE)),
    "instrument": (40, lambda label, clip, seconds: instruments((label,), clip, seconds, RATE)),
    "genre": (40, lambda label, clip, seconds: genre(label, clip, seconds, RATE)),
}
CLASSES = tuple(f"{kind}-{FIRST + number}" for kind, (count, _) in sorted(_KINDS.items()) for number in range(count))


def make_sound(name: str, clip: int, seconds: float) -> Wave:
    """Generate a clip of a class such as `word-1017`, as recorded in a room."""
    kind, _, label = name.partition("-")
    return record(_KINDS[kind][1](int(label), clip, seconds), clip, RATE)


class Corpus(Synthesizable):
    """`pretraining/{clips.csv,audio}`; it shares no class and no clip with the other synthetic datasets."""

    info = DatasetInfo(
        name=NAME,
        label="synthetic pre-training corpus",
        description=f"scenes, textures, events, words, spoken words, instruments and genres in {len(CLASSES)} classes",
        folders=(NAME,),
        classes=CLASSES,
        clips=0,
        seconds=SECONDS,
        metric="accuracy",
        licence="generated",
        homepage="",
        citation="",
        by_hand=f"generate it with `python -m benchmark data synthesize {NAME} --clips-per-class {CLIPS_PER_CLASS}`",
        splits=("train", "test"),
    )

    def read(self, folder: Path) -> list[Clip]:
        """Read the clips as `folder:pretraining` does."""
        return Folder(NAME).read(folder)

    def synthetic(
        self, folder: Path, *, classes: int, clips_per_class: int, seed: int, seconds: float
    ) -> Iterable[Sound]:
        """Yield 16 kHz mono sounds, one tenth for testing; see `Synthesizable.synthetic`.

        Spoken words need espeak-ng; where it is missing, these classes are left out.
        """
        rows = []
        chosen = CLASSES[:: len(CLASSES) // classes][:classes]  # some of each kind
        if not is_installed():
            kept = tuple(name for name in chosen if not name.startswith(SPOKEN))
            logger.warning(
                "%s is not installed: %d classes of spoken words are left out", PROGRAM, len(chosen) - len(kept)
            )
            chosen = kept
        for index, name in enumerate(chosen):
            for number in range(clips_per_class):
                path = f"audio/{name}-{number}.wav"
                split = "test" if number % 10 == 9 or number == clips_per_class - 1 else "train"
                rows.append((path, name, split))
                clip = clip_seed(seed, 50_000_000 + index * 1000 + number)
                yield Sound(path, functools.partial(make_sound, name, clip, seconds), RATE)
        write_table(folder / TABLE, ("path", "label", "split"), rows)


CORPUS = Corpus()
