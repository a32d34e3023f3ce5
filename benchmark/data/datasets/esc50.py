"""ESC-50: environmental sounds, 5 folds."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from benchmark.data.dataset import Synthesizable
from benchmark.data.dataset_info import Archive, AudioDigest, DatasetInfo
from benchmark.data.file_finder import FileFinder
from benchmark.data.locate import find_metadata, first_file
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
TABLES = ("meta/esc50.csv", "esc50.csv")
# of the publisher, and of the copy on Kaggle, which has the same clips at two sample rates
AUDIO = ("audio", "audio/audio/44100", "audio/audio", "audio/44100", "audio/audio/16000")
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
METADATA = "ca660da60191a97de289983a05821c9382d852a38a2ba8428980816b68cf6246"
RATE = 44_100


class Esc50(Synthesizable):
    """Read `ESC-50-master/{audio,meta/esc50.csv}`; a subset of the official rows is allowed and counts as partial.

    The copy on Kaggle has the table on top and the audio in `audio/audio/44100`.
    """

    info = DatasetInfo(
        name="esc50",
        label="ESC-50",
        description="2000 environmental recordings of 5 s in 50 classes, 5 predefined folds",
        folders=("ESC-50-master", "ESC-50", "esc50", "environmental-sound-classification-50"),
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
        """Read one clip per row of `esc50.csv`; see `Dataset.read`."""
        clips: dict[str, Clip] = {}
        rows = list(read_rows(find_metadata(folder, TABLES, self.info, "the publisher's table of the clips"), COLUMNS))
        audio, files = _audio_folder(folder, rows), FileFinder(folder)
        for place, row in rows:
            name = row["filename"]
            fold = one_of(place, "fold", row["fold"], range(1, 6))
            target = one_of(place, "target", row["target"], range(len(CLASSES)))
            if row["category"] != CLASSES[target]:
                raise BenchmarkError(f"{place}: target {target} is '{CLASSES[target]}', not '{row['category']}'")
            if not name or Path(name).name != name:
                raise BenchmarkError(f"{place}: '{name}' is not a file name")
            parts = Path(name).stem.split("-")
            if len(parts) == 4 and (parts[0], parts[3]) != (str(fold), str(target)):
                raise BenchmarkError(f"{place}: file name '{name}' does not match fold {fold} and target {target}")
            if name in clips:
                raise BenchmarkError(f"{place}: {name} is listed twice")
            path = files.find(f"{audio}/{name}", place)
            clips[name] = Clip.at(folder, path, (target,), fold=fold, place=place, group=row["src_file"])
        return [clips[name] for name in sorted(clips)]

    def recognises(self, folder: Path) -> bool:
        """Return whether a folder has the table."""
        return first_file(folder, TABLES) is not None

    def left_out(self, path: PurePosixPath) -> str | None:
        """Return a reason for the second sample rate of the copy on Kaggle."""
        of_kaggle = path.parts[:-1] in {PurePosixPath(audio).parts for audio in AUDIO[1:]}
        return "the same clips once more, at another sample rate" if of_kaggle else None

    def published_path(self, path: str) -> str:
        """Return the path in the publisher's archive."""
        return f"audio/{PurePosixPath(path).name}"

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
        table = find_metadata(manifest.folder, TABLES, self.info, "the publisher's table of the clips")
        digest = hashlib.sha256(table.read_bytes()).hexdigest()
        name = table.relative_to(manifest.folder)
        return [] if digest == METADATA else [f"{name} has sha256 {digest} instead of {METADATA}"]


def _audio_folder(folder: Path, rows: list[tuple[str, dict[str, str]]]) -> str:
    """Return the first folder of audio that has a listed file; the publisher's if none has."""
    listed = {row["filename"] for _, row in rows}
    places = (audio for audio in AUDIO if (folder / audio).is_dir())
    return next((audio for audio in places if listed & {file.name for file in (folder / audio).iterdir()}), AUDIO[0])


DATASET = Esc50()
