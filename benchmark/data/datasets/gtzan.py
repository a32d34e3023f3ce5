"""GTZAN: music genres, fault-filtered split."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, cast

from benchmark.data.dataset import SYNTHETIC_MARKER, Synthesizable
from benchmark.data.dataset_info import Archive, AudioDigest, DatasetInfo
from benchmark.data.file_finder import FileFinder
from benchmark.data.manifest import ABSENT, Clip, Manifest, Split
from benchmark.data.metadata_files import file_names, folder_names, read_rows
from benchmark.data.synthetic import Sound, clip_seed, genre

CLASSES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
# the fault-filtered lists of C. Kereliuk, B. L. Sturm, J. Larsen (2015), as torchaudio.datasets.GTZAN has them
SPLIT = Path(__file__).with_name("gtzan_filtered.csv")
RATE = 22_050
SUFFIXES = (".wav", ".au")


class Listed(NamedTuple):
    """A row of the filtered lists.

    Attributes:
        genre: class of the clip.
        clip: file name without suffix.
        split: of the clip.
    """

    genre: str
    clip: str
    split: Split


class Gtzan(Synthesizable):
    """Read `genres/GENRE/GENRE.NNNNN.wav` (or `[Data/]genres_original/...`) without the 70 faulty clips.

    The files may be `.au`, as in the first archive.
    """

    info = DatasetInfo(
        name="gtzan",
        label="GTZAN",
        description="930 music excerpts of 30 s in 10 genres, fault-filtered split 443 / 197 / 290",
        folders=("genres", "genres_original", "Data/genres_original", "Data", "gtzan"),
        classes=CLASSES,
        clips=930,
        seconds=30,
        rate=22_050,
        metric="accuracy",
        licence="unknown: research use only, do not redistribute",
        homepage="https://www.tensorflow.org/datasets/catalog/gtzan",
        citation="G. Tzanetakis, P. Cook, Musical genre classification of audio signals, IEEE TSAP 2002",
        by_hand=(
            "the original address no longer works: get genres.tar.gz (md5 5b3d6dddb579ab49814ab86dba69e7c7) or "
            "genres_original from a mirror and put the folder there"
        ),
        splits=("train", "validation", "test"),
        archive=Archive(
            file="genres.tar.gz",
            urls=(),
            hash="md5:5b3d6dddb579ab49814ab86dba69e7c7",
            certain=False,  # mirrors repack it
            top="genres",
            bytes=1_225_571_541,
        ),
        audio=AudioDigest(1000, "genres/", "f9a6007fb691e64f9bd687388a56c1d6164afd1efb2a4203c5c8c41ab19028af"),
        published={"split": {"train": 443, "validation": 197, "test": 290}},
        notes=(
            "jazz.00054.wav is damaged in a common mirror: --on-bad-audio skip leaves 442 of the 443 training clips",
            "results on this split are not comparable with 10-fold results on all 1000 clips",
        ),
    )

    def read(self, folder: Path) -> list[Clip]:
        """Read the clips of the filtered lists; see `Dataset.read`. Generated audio is of some of them."""
        clips, files = [], FileFinder(folder)
        for line in filtered_lists():
            found = [files.find(f"{line.genre}/{line.clip}{suffix}", str(folder)) for suffix in SUFFIXES]
            path = next((path for path in found if (folder / path).is_file()), found[0])
            label = (CLASSES.index(line.genre),)
            clips.append(Clip.at(folder, path, label, split=line.split, place=str(folder)))
        there = [clip for clip in clips if clip.size != ABSENT]
        lists_all = there and not (folder / SYNTHETIC_MARKER).is_file()
        return sorted(clips if lists_all else there, key=lambda clip: clip.path)

    def recognises(self, folder: Path) -> bool:
        """Return whether a folder has the genres, or some of them and the dataset's name."""
        genres = set(CLASSES) & set(folder_names(folder))
        return len(genres) == len(CLASSES) or (bool(genres) and super().recognises(folder))

    def audio_files(self, manifest: Manifest) -> list[str]:
        """Return the paths of all 1000 clips, including faulty ones."""
        places = [manifest.folder / genre for genre in CLASSES if (manifest.folder / genre).is_dir()]
        return [
            f"{place.name}/{name}"
            for place in places
            for name in next(filter(None, (file_names(place, (suffix,)) for suffix in SUFFIXES)), ())
        ]

    def left_out(self, path: PurePosixPath) -> str | None:
        """Return a reason for the faulty clips."""
        known = path.stem.partition(".")[0] == path.parts[0] in CLASSES and path.suffix.lower() in SUFFIXES
        return "faulty, not in the fault-filtered lists" if known and path.stem not in _listed() else None

    def synthetic(
        self, folder: Path, *, classes: int, clips_per_class: int, seed: int, seconds: float
    ) -> Iterable[Sound]:
        """Yield 22.05 kHz mono pieces of 30 s; see `Synthesizable.synthetic`."""
        written: Counter[tuple[str, str]] = Counter()
        for line in filtered_lists():
            label = CLASSES.index(line.genre)
            written[line.genre, line.split] += 1
            if label < classes and written[line.genre, line.split] <= clips_per_class:
                make = functools.partial(genre, label, clip_seed(seed, int(line.clip[-5:])), seconds, RATE)
                yield Sound(f"{line.genre}/{line.clip}.wav", make, RATE)


def filtered_lists() -> Iterator[Listed]:
    """Yield the 930 rows of the fault-filtered lists."""
    for _, row in read_rows(SPLIT, ("split", "clip")):
        yield Listed(row["clip"].partition(".")[0], row["clip"], cast("Split", row["split"]))


@functools.cache
def _listed() -> set[str]:
    return {line.clip for line in filtered_lists()}


DATASET = Gtzan()
