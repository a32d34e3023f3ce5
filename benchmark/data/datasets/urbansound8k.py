"""UrbanSound8K: street sounds, 10 folds."""

from __future__ import annotations

from pathlib import Path

from benchmark.data.clips import Clip
from benchmark.data.facts import DatasetFacts
from benchmark.data.registry import Dataset
from benchmark.data.tables import one_of, read_rows
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
COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")


class UrbanSound8K(Dataset):
    """`UrbanSound8K/{audio/fold1..fold10,metadata/UrbanSound8K.csv}`; the folds are never reshuffled."""

    facts = DatasetFacts(
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
        folds=tuple(range(1, 11)),
    )

    def read(self, folder: Path) -> list[Clip]:
        """One clip a row of `metadata/UrbanSound8K.csv`; see `Dataset.read`."""
        clips: dict[str, Clip] = {}
        for place, row in read_rows(folder / "metadata" / "UrbanSound8K.csv", COLUMNS):
            fold = one_of(place, "fold", row["fold"], range(1, 11))
            target = one_of(place, "classID", row["classID"], range(len(CLASSES)))
            name = row["slice_file_name"]
            parts = name.split("-")
            if len(parts) != 4 or parts[1] != str(target) or Path(name).name != name:
                raise BenchmarkError(f"{place}: file name '{name}' does not go with class {target}")
            path = f"audio/fold{fold}/{name}"
            if path in clips:
                raise BenchmarkError(f"{place}: {path} is listed twice")
            clips[path] = Clip.at(folder, path, (target,), fold=fold, place=place)
        return [clips[path] for path in sorted(clips)]


DATASET = UrbanSound8K()
