"""What a dataset is: info, a reader of its layout, and where it can be generated a writer."""

from __future__ import annotations

import json
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.manifest import Clip, Manifest
from benchmark.data.parallel import Progress, in_order
from benchmark.data.synthetic import Sound
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.spec.recipe import Layer

SYNTHETIC_MARKER = "SYNTHETIC.json"
Tally = dict[str, dict[str, int]]


class Dataset(ABC):
    """Reads one official layout."""

    info: DatasetInfo

    @property
    def recipe(self) -> str:
        """Name of the recipe file."""
        return self.info.name

    def own_recipe(self, folder: Path) -> list[Layer]:
        """Recipe values that come from the data itself."""
        return []

    @abstractmethod
    def read(self, folder: Path) -> list[Clip]:
        """The clips of an official folder, in a stable order; no audio is opened.

        Raises:
            BenchmarkError: the folder does not follow the layout.
        """

    def manifest(self, data_root: Path) -> Manifest:
        """The manifest of this dataset under a data root.

        Raises:
            MissingInputError: the dataset's folder is not there.
            BenchmarkError: it is there, but wrong.
        """
        place = self.find(data_root)
        clips = self.read(place)
        if not clips:
            raise BenchmarkError(f"{place}: holds no clips of {self.info.label}")
        return Manifest(self.info, place, tuple(clips), (place / SYNTHETIC_MARKER).is_file())

    def find(self, data_root: Path) -> Path:
        """The dataset's folder under a data root.

        Raises:
            MissingInputError: it is not there.
        """
        places = [data_root / folder for folder in self.info.folders]
        place = next((place for place in places if place.is_dir()), None)
        if place is None:
            raise MissingInputError(f"{self.info.label}: no folder {places[0]}; {self.info.by_hand}")
        return place

    def audio_files(self, manifest: Manifest) -> list[str]:
        """Paths of the files that the published digest is over: those of the clips, unless there are more."""
        return [clip.path for clip in manifest.clips]

    def problems(self, manifest: Manifest) -> list[str]:
        """What is wrong with the metadata of a folder that has all official clips; one line each."""
        return []


def tally(manifest: Manifest) -> Tally:
    """Clips by class and by fold or split; annotations that say present and absent, where only some were annotated."""
    clips, classes = manifest.clips, manifest.info.classes
    counts: dict[str, Counter[str]] = {"class": Counter(dict.fromkeys(classes, 0))}
    counts["class"].update(classes[label] for clip in clips for label in clip.labels)
    unit, names = ("fold", manifest.info.folds) if manifest.info.folds else ("split", manifest.info.splits)
    counts[unit] = Counter({str(name): 0 for name in names})
    counts[unit].update(str(clip.fold if manifest.info.folds else clip.split) for clip in clips)
    for clip in clips:
        if clip.observed is not None:
            name = str(clip.split)
            counts.setdefault("present", Counter())[name] += len(clip.labels)
            counts.setdefault("absent", Counter())[name] += len(clip.observed) - len(clip.labels)
    return {key: dict(values) for key, values in counts.items()}


class Synthesizable(Dataset):
    """A dataset whose layout can be filled with generated audio."""

    @abstractmethod
    def synthetic(
        self, folder: Path, *, classes: int, clips_per_class: int, seed: int, seconds: float
    ) -> Iterable[Sound]:
        """Write the metadata of the official layout into an empty folder, and give the sounds that belong to it.

        Args:
            folder: the dataset's.
            classes: the first so many classes.
            clips_per_class: of each class in every fold or split.
            seed: of the audio.
            seconds: length of a clip that is not cut short.
        """

    def synthesize(
        self,
        data_root: Path,
        *,
        classes: int | None = None,
        clips_per_class: int,
        seed: int,
        seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Generate the dataset's folder under a data root, whole or not at all; the same call again does nothing.

        Clips are as long as the dataset's unless `seconds` says otherwise.

        Returns:
            The folder, which carries a marker so that nothing takes it for the real dataset.

        Raises:
            BenchmarkError: something else stands at its place, or there are not so many classes.
        """
        most = len(self.info.classes)
        if classes is not None and not 2 <= classes <= most:
            raise BenchmarkError(f"{self.info.label} has {most} classes, {classes} were asked for")
        settings: dict[str, Any] = {"classes": classes or most, "clips_per_class": clips_per_class, "seed": seed}
        if seconds is not None:
            settings["seconds"] = seconds
        place = data_root / self.info.folders[0]
        if place.exists():
            marker = place / SYNTHETIC_MARKER
            if not marker.is_file() or marker.read_text() != json.dumps(settings):
                raise BenchmarkError(f"{place}: is there already and holds other data; remove it or use another folder")
            return place
        data_root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_root, prefix=".synthesize-") as temporary:
            draft = Path(temporary) / place.name
            draft.mkdir()
            sounds = list(self.synthetic(draft, **{"seconds": float(self.info.seconds), **settings}))
            for number, _ in enumerate(in_order(lambda sound: sound.write(draft), sounds), start=1):
                if progress:
                    progress("synthesizing", number, len(sounds))
            (draft / SYNTHETIC_MARKER).write_text(json.dumps(settings))
            draft.rename(place)
        return place
