"""ESC-50: environmental sounds, 5 folds."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterable
from pathlib import Path

from benchmark.data.dataset import Synthesizable
from benchmark.data.dataset_info import Archive, AudioDigest, DatasetInfo
from benchmark.data.manifest import Clip, Manifest
from benchmark.data.metadata_files import one_of, read_rows
from benchmark.data.synthetic import Sound, clip_seed, texture, write_table
from benchmark.errors import BenchmarkError

CLASSES = [
    "dog",
    "rooster",
    "pig",
    "cow",
    "frog",
    "cat",
    "hen",
    "insects",
    "sheep",
    "crow",
    "rain",
    "sea_waves",
    "crackling_fire",
    "crickets",
    "chirping_birds",
    "water_drops",
    "wind",
    "pouring_water",
    "toilet_flush",
    "thunderstorm",
    "crying_baby",
    "sneezing",
    "clapping",
    "breathing",
    "coughing",
    "footsteps",
    "laughing",
    "brushing_teeth",
    "snoring",
    "drinking_sipping",
    "door_wood_knock",
    "mouse_click",
    "keyboard_typing",
    "door_wood_creaks",
    "can_opening",
    "washing_machine",
    "vacuum_cleaner",
    "clock_alarm",
    "clock_tick",
    "glass_breaking",
    "helicopter",
    "chainsaw",
    "siren",
    "car_horn",
    "engine",
    "train",
    "church_bells",
    "airplane",
    "fireworks",
    "hand_saw",
]
FOLDS = (1, 2, 3, 4, 5)
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
METADATA = "ca660da60191a97de289983a05821c9382d852a38a2ba8428980816b68cf6246"
RATE = 44_100


class Esc50(Synthesizable):
    """Read `ESC-50-master/{audio,meta/esc50.csv}`; a subset of the official rows is allowed and counts as partial."""

    info = DatasetInfo(
        name="esc50",
        label="ESC-50",
        description="2000 environmental recordings of 5 s in 50 classes, 5 predefined folds",
        folders=("ESC-50-master",),
        classes=tuple(CLASSES),
        clips=2000,
        seconds=5,
        rate=44_100,
        lengths=(5, 5),
        metric="accuracy",
        licence="CC BY-NC 3.0 (the ESC-10 subset CC BY 3.0)",
        homepage="https://github.com/karolpiczak/ESC-50",
        citation="K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM MM 2015",
        by_hand="get the archive of branch master from https://github.com/karolpiczak/ESC-50 and unpack it there",
        folds=FOLDS,
        archive=Archive(
            file="ESC-50-master.zip",
            urls=("https://github.com/karolpiczak/ESC-50/archive/refs/heads/master.zip",),
            hash="md5:7771e4b9d86d0945acce719c7a59305a",
            certain=False,  # repacked by the host now and then
            top="ESC-50-master",
        ),
        audio=AudioDigest(2000, "", "73a735268bb6515d0da95bd84444e6e7762864674e0c422c2de11c12bdadf394"),
        published={"class": dict.fromkeys(CLASSES, 40), "fold": {str(fold): 400 for fold in FOLDS}},
        notes=("the source recordings 131943, 134049, 209698 and 234879 are in two folds and two classes each",),
    )

    def read(self, folder: Path) -> list[Clip]:
        """Read one clip per row of `meta/esc50.csv`; see `Dataset.read`."""
        clips: dict[str, Clip] = {}
        for place, row in read_rows(folder / "meta" / "esc50.csv", COLUMNS):
            name = row["filename"]
            fold = one_of(place, "fold", row["fold"], range(1, 6))
            target = one_of(place, "target", row["target"], range(len(CLASSES)))
            if row["category"] != CLASSES[target]:
                raise BenchmarkError(f"{place}: target {target} is '{CLASSES[target]}', not '{row['category']}'")
            if not name or Path(name).name != name:
                raise BenchmarkError(f"{place}: '{name}' is not a file name")
            if name in clips:
                raise BenchmarkError(f"{place}: {name} is listed twice")
            clips[name] = Clip.at(folder, f"audio/{name}", (target,), fold=fold, place=place, group=row["src_file"])
        return [clips[name] for name in sorted(clips)]

    def synthetic(
        self, folder: Path, *, classes: int, clips_per_class: int, seed: int, seconds: float
    ) -> Iterable[Sound]:
        """Yield 44.1 kHz mono textures of 5 s; see `Synthesizable.synthetic`."""
        rows = []
        for fold, target, number in itertools.product(FOLDS, range(classes), range(clips_per_class)):
            source = 900_000 + (fold * len(CLASSES) + target) * 100 + number
            name = f"{fold}-{source}-A-{target}.wav"
            rows.append((name, fold, target, CLASSES[target], False, source, "A"))
            yield Sound(
                f"audio/{name}", functools.partial(texture, target, clip_seed(seed, source), seconds, RATE), RATE
            )
        write_table(folder / "meta" / "esc50.csv", COLUMNS, rows)

    def problems(self, manifest: Manifest) -> list[str]:
        """Check that the metadata file is the publisher's."""
        digest = hashlib.sha256((manifest.folder / "meta" / "esc50.csv").read_bytes()).hexdigest()
        return [] if digest == METADATA else [f"meta/esc50.csv has sha256 {digest} instead of {METADATA}"]


DATASET = Esc50()
