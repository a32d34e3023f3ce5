"""GTZAN: music genres, fault-filtered split."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

from benchmark.data.clips import Clip
from benchmark.data.facts import DatasetFacts
from benchmark.data.registry import Dataset
from benchmark.data.tables import read_rows

CLASSES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
# the fault-filtered lists of C. Kereliuk, B. L. Sturm, J. Larsen (2015), as torchaudio.datasets.GTZAN has them
SPLIT = Path(__file__).with_name("gtzan_filtered.csv")


class Gtzan(Dataset):
    """`genres/GENRE/GENRE.NNNNN.wav`, or `genres_original`, or `Data/genres_original`; 70 faulty clips are not used."""

    facts = DatasetFacts(
        name="gtzan",
        label="GTZAN",
        description="930 music excerpts of 30 s in 10 genres, fault-filtered split 443 / 197 / 290",
        folders=("genres", "genres_original", "Data/genres_original"),
        classes=CLASSES,
        clips=930,
        seconds=30,
        metric="accuracy",
        licence="none known: research use only, never redistribute",
        homepage="https://www.tensorflow.org/datasets/catalog/gtzan",
        citation="G. Tzanetakis, P. Cook, Musical genre classification of audio signals, IEEE TSAP 2002",
        by_hand=(
            "the original address is dead: get genres.tar.gz (md5 5b3d6dddb579ab49814ab86dba69e7c7) or genres_original "
            "from a mirror and put the folder there"
        ),
        splits=("train", "validation", "test"),
    )

    def read(self, folder: Path) -> list[Clip]:
        """The clips of the filtered lists that are there; see `Dataset.read`."""
        clips = []
        for _, row in read_rows(SPLIT, ("split", "clip")):
            genre = row["clip"].partition(".")[0]
            path = f"{genre}/{row['clip']}.wav"
            file = folder / path
            if file.is_file():
                split = cast("Literal['train', 'validation', 'test']", row["split"])
                clips.append(Clip(path, file.stat().st_size, (CLASSES.index(genre),), split=split))
        return sorted(clips, key=lambda clip: clip.path)


DATASET = Gtzan()
