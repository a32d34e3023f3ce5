"""OpenMIC-2018: instruments, several per clip, few of them annotated."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmark.data.dataset import Synthesizable
from benchmark.data.dataset_info import Archive, AudioDigest, DatasetInfo
from benchmark.data.file_finder import FileFinder
from benchmark.data.locate import find_metadata
from benchmark.data.manifest import Clip, Split
from benchmark.data.metadata_files import read_rows
from benchmark.data.synthetic import Sound, clip_seed, instruments, write_table
from benchmark.errors import BenchmarkError

CLASSES = tuple(
    "accordion banjo bass cello clarinet cymbals drums flute guitar mallet_percussion mandolin organ piano saxophone "
    "synthesizer trombone trumpet ukulele violin voice".split()
)
COLUMNS = ("sample_key", "instrument", "relevance", "num_responses")
PRESENT = 0.5  # from this relevance on, an instrument counts as present
PARTITIONS: tuple[Split, ...] = ("train", "test")
LABELS = "openmic-2018-aggregated-labels.csv"
RATE = 44_100


class OpenMic(Synthesizable):
    """Read `openmic-2018/`: audio in folders by prefix, aggregated labels as CSV, partition lists; no npz needed."""

    info = DatasetInfo(
        name="openmic",
        label="OpenMIC-2018",
        description="20000 music excerpts of 10 s, 20 instruments, partly annotated; split01 14915 / 5085",
        folders=("openmic-2018",),
        classes=CLASSES,
        clips=20_000,
        seconds=10,
        metric="map",
        licence="labels CC BY 4.0; audio Creative Commons, mostly NonCommercial",
        homepage="https://zenodo.org/records/1432913",
        citation="E. J. Humphrey, S. Durand, B. McFee, OpenMIC-2018, ISMIR 2018",
        by_hand="get openmic-2018-v1.0.0.tgz from https://zenodo.org/records/1432913 and unpack it there",
        splits=("train", "test"),
        multi_label=True,
        archive=Archive(
            file="openmic-2018-v1.0.0.tgz",
            urls=("https://zenodo.org/records/1432913/files/openmic-2018-v1.0.0.tgz?download=1",),
            hash="md5:e4ccf187e2bb5ab2e115416e8aafe7f4",
            certain=False,  # not from the publisher
            top="openmic-2018",
            bytes=2_623_376_754,
        ),
        audio=AudioDigest(20_000, "", "53f7c06cc8a15b6aa71f03c896f0c2d995c89fb2293c36b24eec89b5a901e883"),
        published={
            "split": {"train": 14_915, "test": 5_085},
            "present": {"train": 13_097, "test": 4_517},
            "absent": {"train": 17_649, "test": 6_005},
        },
        notes=(
            "only 41268 of 400000 pairs of clip and instrument are annotated",
            "the official scripts count every annotated instrument as present (D5) and test on training clips (D4)",
        ),
    )

    def read(self, folder: Path) -> list[Clip]:
        """Read the clips of both partition lists, with labels by relevance; see `Dataset.read`."""
        observed: dict[str, dict[int, bool]] = {}
        table = find_metadata(folder, (LABELS,), self.info, "the publisher's table of the labels")
        for place, row in read_rows(table, COLUMNS):
            if row["instrument"] not in CLASSES:
                raise BenchmarkError(f"{place}: '{row['instrument']}' is not an instrument of {self.info.label}")
            present = _relevance(place, row["relevance"]) >= PRESENT
            labels = observed.setdefault(row["sample_key"], {})
            if labels.setdefault(CLASSES.index(row["instrument"]), present) != present:
                raise BenchmarkError(f"{place}: {row['sample_key']} has two relevances of {row['instrument']}")
        clips: dict[str, Clip] = {}
        files = FileFinder(folder)
        for split in PARTITIONS:
            listed = (f"partitions/split01_{split}.csv",)
            partition = find_metadata(folder, listed, self.info, f"the publisher's list of the {split} clips")
            for place, row in read_rows(partition, ("key",), header=False):
                key = row["key"]
                if key not in observed:
                    raise BenchmarkError(f"{place}: '{key}' has no labels")
                if Path(key).name != key:
                    raise BenchmarkError(f"{place}: '{key}' is not a file name")
                if key in clips:
                    raise BenchmarkError(f"{place}: '{key}' is listed twice")
                clips[key] = Clip.at(
                    folder,
                    files.find(f"audio/{key[:3]}/{key}.ogg", place),
                    place=place,
                    labels=tuple(sorted(label for label, present in observed[key].items() if present)),
                    observed=tuple(sorted(observed[key])),
                    split=split,
                    group=key.partition("_")[0],  # the track
                )
        return [clips[key] for key in sorted(clips)]

    def recognises(self, folder: Path) -> bool:
        """Return whether a folder has the table of labels."""
        return (folder / LABELS).is_file()

    def synthetic(
        self, folder: Path, *, classes: int, clips_per_class: int, seed: int, seconds: float
    ) -> Iterable[Sound]:
        """Yield 44.1 kHz stereo Ogg of 10 s: one to three instruments, two to four annotated; see `Synthesizable`."""
        rows = []
        for split, begin in zip(PARTITIONS, (0, 500_000), strict=True):
            keys = []
            for number, (_, label) in enumerate(itertools.product(range(clips_per_class), range(classes))):
                drawn = np.random.default_rng([seed, begin, number])
                others = drawn.permutation([other for other in range(classes) if other != label])
                playing = (label, *others[: int(drawn.integers(3))].tolist())
                absent = [int(other) for other in others if int(other) not in playing]
                key = f"{begin + number:06d}_{int(drawn.integers(1000))}"
                keys.append((key,))
                for heard in (*playing, *absent[: int(drawn.integers(1, 3))]):
                    relevance = drawn.uniform(PRESENT, 1) if heard in playing else drawn.uniform(0, PRESENT - 0.01)
                    rows.append((key, CLASSES[heard], f"{relevance:.5f}", 3))
                make = functools.partial(instruments, playing, clip_seed(seed, begin + number), seconds, RATE)
                yield Sound(f"audio/{key[:3]}/{key}.ogg", make, RATE, "VORBIS", 2)
            write_table(folder / "partitions" / f"split01_{split}.csv", None, keys)
        write_table(folder / LABELS, COLUMNS, rows)
        (folder / "class-map.json").write_text(json.dumps({name: number for number, name in enumerate(CLASSES)}))


def _relevance(place: str, text: str) -> float:
    """Return a relevance from 0 to 1.

    Raises:
        BenchmarkError: something else; the message begins with `place`.
    """
    with contextlib.suppress(ValueError):
        if 0 <= (relevance := float(text)) <= 1:
            return relevance
    raise BenchmarkError(f"{place}: relevance '{text}' is not a number from 0 to 1")


DATASET = OpenMic()
