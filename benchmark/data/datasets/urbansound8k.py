"""UrbanSound8K: street sounds, 10 folds."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from benchmark.data.dataset import Measured, Synthesizable, among, is_within
from benchmark.data.dataset_info import Archive, AudioDigest, DatasetInfo
from benchmark.data.file_finder import FileFinder
from benchmark.data.locate import find_metadata, first_file
from benchmark.data.manifest import Clip, Manifest
from benchmark.data.metadata_files import one_of, read_rows
from benchmark.data.synthetic import Sound, clip_seed, event, write_table
from benchmark.errors import BenchmarkError

CLASSES = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)
CLASS_COUNTS = (1000, 429, 1000, 1000, 1000, 1000, 374, 1000, 929, 1000)
FOLD_COUNTS = (873, 888, 925, 990, 936, 823, 838, 806, 816, 837)
FOLDS = tuple(range(1, 11))
SHORTEST, LONGEST = 0.0545, 4.0  # seconds
VARIED = 100  # of as many clips of the original, some have another sample rate
# sample rates, encodings and channels as in the archive
FORMATS = (
    (44_100, "PCM_16", 2), (48_000, "PCM_16", 2), (44_100, "PCM_24", 2), (96_000, "PCM_24", 2), (44_100, "PCM_16", 1),
    (22_050, "PCM_16", 1), (8_000, "PCM_16", 1), (11_025, "PCM_U8", 1), (192_000, "PCM_24", 2), (44_100, "PCM_32", 2),
    (22_050, "IMA_ADPCM", 1), (24_000, "MS_ADPCM", 1), (16_000, "PCM_16", 1),
)  # fmt: skip
TABLES = ("metadata/UrbanSound8K.csv", "UrbanSound8K.csv")
COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")


class UrbanSound8K(Synthesizable):
    """Read `UrbanSound8K/{audio/fold1..fold10,metadata/UrbanSound8K.csv}`; the folds are never reshuffled.

    The copy on Kaggle has the folds and the table on top.
    """

    info = DatasetInfo(
        name="urbansound8k",
        label="UrbanSound8K",
        description="8732 street recordings of up to 4 s in 10 classes, 10 predefined folds",
        folders=("UrbanSound8K",),
        classes=CLASSES,
        clips=8732,
        seconds=4,
        metric="accuracy",
        licence="CC BY-NC 3.0",
        homepage="https://zenodo.org/records/1203745",
        citation="J. Salamon, C. Jacoby, J. P. Bello, A Dataset and Taxonomy for Urban Sound Research, ACM MM 2014",
        by_hand="get UrbanSound8K.tar.gz from https://zenodo.org/records/1203745 and unpack it there",
        folds=FOLDS,
        archive=Archive(
            file="UrbanSound8K.tar.gz",
            urls=("https://zenodo.org/records/1203745/files/UrbanSound8K.tar.gz?download=1",),
            hash="md5:9aa69802bbf37fb986f71ec1483a196e",
            certain=True,
            top="UrbanSound8K",
        ),
        lengths=(SHORTEST, LONGEST),
        audio=AudioDigest(8732, "", "a5c37d279ba585aaeb218f19b7e987627eafadd27a12de7b3121d9023008a219"),
        published={
            "class": dict(zip(CLASSES, CLASS_COUNTS, strict=True)),
            "fold": {str(fold): count for fold, count in zip(FOLDS, FOLD_COUNTS, strict=True)},
        },
        notes=(
            "sources 106905, 132016, 176638, 180937 and 77751 are in more than one fold",
            "clips last from 0.0545 to 4 s (456 are shorter than 1 s), at 8 to 192 kHz, mono and stereo",
        ),
    )

    def read(self, folder: Path) -> list[Clip]:
        """Read one clip per row of `UrbanSound8K.csv`; see `Dataset.read`."""
        clips: dict[str, Clip] = {}
        table = find_metadata(folder, TABLES, self.info, "the publisher's table of the clips")
        above, files = "audio/" if (folder / "audio").is_dir() else "", FileFinder(folder)
        for place, row in read_rows(table, COLUMNS):
            fold = one_of(place, "fold", row["fold"], range(1, 11))
            target = one_of(place, "classID", row["classID"], range(len(CLASSES)))
            name = row["slice_file_name"]
            parts = name.split("-")
            if len(parts) != 4 or parts[1] != str(target) or Path(name).name != name:
                raise BenchmarkError(f"{place}: file name '{name}' does not match class {target}")
            if _plain(row["class"]) != CLASSES[target]:
                raise BenchmarkError(f"{place}: classID {target} is '{CLASSES[target]}', not '{row['class']}'")
            if row["fsID"] != parts[0]:
                raise BenchmarkError(f"{place}: file name '{name}' does not match fsID '{row['fsID']}'")
            path = files.find(f"{above}fold{fold}/{name}", place)
            if path in clips:
                raise BenchmarkError(f"{place}: {path} is listed twice")
            clips[path] = Clip.at(folder, path, (target,), fold=fold, place=place, group=parts[0])  # fsID
        return [clips[path] for path in sorted(clips)]

    def recognises(self, folder: Path) -> bool:
        """Return whether a folder has the table."""
        return first_file(folder, TABLES) is not None

    def published_path(self, path: str) -> str:
        """Return the path in the publisher's archive."""
        return "/".join(("audio", *PurePosixPath(path).parts[-2:]))

    def alterations(self, manifest: Manifest, measured: Mapping[str, Measured]) -> list[str]:
        """Compare lengths with the metadata, too, and expect several sample rates; see `Dataset.alterations`.

        Source: the publisher's description, "the sampling rate, bit depth, and number of channels are the same as those
        of the original file uploaded to Freesound (and hence may vary from file to file)".
        """
        remarks = super().alterations(manifest, measured)
        rates = {file.rate for file in measured.values()}
        if len(measured) >= VARIED and len(rates) == 1:
            remarks.append(
                f"altered: all {len(measured)} clips have {rates.pop()} Hz, where the publisher's vary: resampled"
            )
        longer: list[str] = []
        shorter: list[str] = []
        paths = {tuple(Path(path).parts[-2:]): path for path in measured}
        [table, *_] = (manifest.folder / name for name in TABLES if (manifest.folder / name).is_file())
        for _, row in read_rows(table, COLUMNS):
            with contextlib.suppress(KeyError, ValueError):  # a bad file; or a table without times
                path = paths[f"fold{row['fold']}", row["slice_file_name"]]
                seconds, expected = measured[path].seconds, float(row["end"]) - float(row["start"])
                if not is_within(seconds, expected, expected):
                    (longer if seconds > expected else shorter).append(path)
        if longer:
            remarks.append(f"altered: {among(longer, measured)} are longer than in the metadata: repeated or padded")
        if shorter:
            remarks.append(f"altered: {among(shorter, measured)} are shorter than in the metadata: cut")
        return remarks

    def synthetic(
        self, folder: Path, *, classes: int, clips_per_class: int, seed: int, seconds: float
    ) -> Iterable[Sound]:
        """Yield events of 0.0545 to 4 s in the formats of the archive; see `Synthesizable.synthetic`."""
        rows = []
        for fold, label, number in itertools.product(FOLDS, range(classes), range(clips_per_class)):
            source = 900_000 + (fold * len(CLASSES) + label) * 100 + number
            drawn = np.random.default_rng([seed, source])
            length = float(drawn.choice([LONGEST, LONGEST, LONGEST, drawn.uniform(SHORTEST, LONGEST)]))
            length *= seconds / LONGEST
            rate, subtype, channels = FORMATS[int(drawn.integers(len(FORMATS)))]
            name = f"{source}-{label}-0-0.wav"
            rows.append((name, source, 0.0, length, 1, fold, label, CLASSES[label]))
            make = functools.partial(event, label, clip_seed(seed, source), length, rate)
            yield Sound(f"audio/fold{fold}/{name}", make, rate, subtype, channels)
        write_table(folder / "metadata" / "UrbanSound8K.csv", COLUMNS, rows)


def _plain(name: str) -> str:
    """Return the name of a class as the publisher writes it: `Air Conditioner` is `air_conditioner`."""
    return name.strip().lower().replace(" ", "_")


DATASET = UrbanSound8K()
