"""OpenMIC-2018: instruments, several a clip, few of them annotated."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from benchmark.data.clips import Clip
from benchmark.data.facts import DatasetFacts
from benchmark.data.registry import Dataset
from benchmark.data.tables import read_rows
from benchmark.errors import BenchmarkError

CLASSES = tuple(
    "accordion banjo bass cello clarinet cymbals drums flute guitar mallet_percussion mandolin organ piano saxophone "
    "synthesizer trombone trumpet ukulele violin voice".split()
)
COLUMNS = ("sample_key", "instrument", "relevance", "num_responses")
PRESENT = 0.5  # relevance from which annotators say that an instrument plays
PARTITIONS: tuple[Literal["train", "test"], ...] = ("train", "test")


class OpenMic(Dataset):
    """`openmic-2018/` with audio by prefix, aggregated labels as CSV and the partition lists; the npz is not needed."""

    facts = DatasetFacts(
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
    )

    def read(self, folder: Path) -> list[Clip]:
        """The clips of both partition lists, labelled by relevance; see `Dataset.read`."""
        observed: dict[str, dict[int, bool]] = {}
        for place, row in read_rows(folder / "openmic-2018-aggregated-labels.csv", COLUMNS):
            if row["instrument"] not in CLASSES:
                raise BenchmarkError(f"{place}: '{row['instrument']}' is no instrument of {self.facts.label}")
            try:
                present = float(row["relevance"]) >= PRESENT
            except ValueError:
                raise BenchmarkError(f"{place}: relevance '{row['relevance']}' is not a number") from None
            observed.setdefault(row["sample_key"], {})[CLASSES.index(row["instrument"])] = present
        clips: dict[str, Clip] = {}
        for split in PARTITIONS:
            for place, row in read_rows(folder / "partitions" / f"split01_{split}.csv", ("key",), header=False):
                key = row["key"]
                labels = observed.get(key)
                if labels is None:
                    raise BenchmarkError(f"{place}: '{key}' has no labels")
                if key in clips:
                    raise BenchmarkError(f"{place}: '{key}' is listed twice")
                clips[key] = Clip.at(
                    folder,
                    f"audio/{key[:3]}/{key}.ogg",
                    place=place,
                    labels=tuple(sorted(label for label, present in labels.items() if present)),
                    observed=tuple(sorted(labels)),
                    split=split,
                )
        return [clips[key] for key in sorted(clips)]


DATASET = OpenMic()
