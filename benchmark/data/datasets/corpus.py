"""A synthetic corpus for pre-training, read as `folder:pretraining`, with the same kinds of sounds as the datasets."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmark.data.dataset import Synthesizable
from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.datasets.folder import Folder
from benchmark.data.datasets.own_table import TABLE
from benchmark.data.manifest import Clip
from benchmark.data.synthetic import Sound, Wave, clip_seed, event, genre, instruments, texture, word, write_table

NAME = "pretraining"
RATE = 16_000
SECONDS = 1.6
FIRST = 1000  # no dataset has as many classes, so that no sound belongs to a class of a dataset
SPEAKERS = 10**6  # number of the first speaker; synthetic Speech Commands count from 0

_KINDS: dict[str, tuple[int, Callable[[int, int, float], Wave]]] = {
    "texture": (60, lambda label, clip, seconds: texture(label, clip, seconds, RATE)),
    "event": (60, lambda label, clip, seconds: event(label, clip, seconds, RATE)),
    "word": (100, lambda label, clip, seconds: word(label, SPEAKERS + clip, clip, RATE, min(1.0, seconds))),
    "instrument": (40, lambda label, clip, seconds: instruments((label,), clip, seconds, RATE)),
    "genre": (40, lambda label, clip, seconds: genre(label, clip, seconds, RATE)),
}
CLASSES = tuple(f"{kind}-{FIRST + number}" for kind, (count, _) in sorted(_KINDS.items()) for number in range(count))


def make_sound(name: str, clip: int, seconds: float) -> Wave:
    """Generate a clip of a class such as `word-1017`."""
    kind, _, label = name.partition("-")
    return _KINDS[kind][1](int(label), clip, seconds)


class Corpus(Synthesizable):
    """`pretraining/{clips.csv,audio}`; it shares no class and no clip with the other synthetic datasets."""

    info = DatasetInfo(
        name=NAME,
        label="synthetic pre-training corpus",
        description=f"textures, events, words, instruments and genres in {len(CLASSES)} classes",
        folders=(NAME,),
        classes=CLASSES,
        clips=0,
        seconds=SECONDS,
        metric="accuracy",
        licence="generated",
        homepage="",
        citation="",
        by_hand=f"generate it with `python -m benchmark data synthesize {NAME} --clips-per-class 40`",
        splits=("train", "test"),
    )

    def read(self, folder: Path) -> list[Clip]:
        """Read the clips as `folder:pretraining` does."""
        return Folder(NAME).read(folder)

    def synthetic(
        self, folder: Path, *, classes: int, clips_per_class: int, seed: int, seconds: float
    ) -> Iterable[Sound]:
        """Yield 16 kHz mono sounds, one tenth for testing; see `Synthesizable.synthetic`."""
        rows = []
        chosen = CLASSES[:: len(CLASSES) // classes][:classes]  # some of each kind
        for index, name in enumerate(chosen):
            for number in range(clips_per_class):
                path = f"audio/{name}-{number}.wav"
                split = "test" if number % 10 == 9 or number == clips_per_class - 1 else "train"
                rows.append((path, name, split))
                clip = clip_seed(seed, 50_000_000 + index * 1000 + number)
                yield Sound(path, functools.partial(make_sound, name, clip, seconds), RATE)
        write_table(folder / TABLE, ("path", "label", "split"), rows)


CORPUS = Corpus()
