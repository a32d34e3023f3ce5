"""The datasets that are there: the modules of `benchmark/data/datasets/`, each with one `DATASET`."""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path

from benchmark.data import datasets as folder
from benchmark.data.clips import Clip, Manifest
from benchmark.data.facts import DatasetFacts
from benchmark.errors import BenchmarkError, MissingInputError, closest

SYNTHETIC_MARKER = "SYNTHETIC.json"


class Dataset(ABC):
    """Reads one official layout."""

    facts: DatasetFacts

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
        places = [data_root / folder for folder in self.facts.folders]
        place = next((place for place in places if place.is_dir()), None)
        if place is None:
            raise MissingInputError(f"{self.facts.label}: no folder {places[0]}; {self.facts.by_hand}")
        clips = self.read(place)
        if not clips:
            raise BenchmarkError(f"{place}: holds no clips of {self.facts.label}")
        return Manifest(self.facts, place, tuple(clips), (place / SYNTHETIC_MARKER).is_file())


class Synthesizable(Dataset):
    """A dataset whose layout can be filled with generated audio."""

    @abstractmethod
    def write_synthetic(self, folder: Path, *, classes: int, clips_per_class: int, seed: int) -> None:
        """Generate audio and metadata in the official layout into an empty folder."""

    def synthesize(self, data_root: Path, *, classes: int, clips_per_class: int, seed: int) -> Path:
        """Generate the dataset's folder under a data root, whole or not at all; the same call again does nothing.

        Returns:
            The folder, which carries a marker so that nothing takes it for the real dataset.

        Raises:
            BenchmarkError: something else stands at its place.
        """
        settings = {"classes": classes, "clips_per_class": clips_per_class, "seed": seed}
        place = data_root / self.facts.folders[0]
        if place.exists():
            marker = place / SYNTHETIC_MARKER
            if not marker.is_file() or marker.read_text() != json.dumps(settings):
                raise BenchmarkError(f"{place}: is there already and holds other data; remove it or use another folder")
            return place
        data_root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_root, prefix=".synthesize-") as temporary:
            draft = Path(temporary) / place.name
            draft.mkdir()
            self.write_synthetic(draft, **settings)
            (draft / SYNTHETIC_MARKER).write_text(json.dumps(settings))
            draft.rename(place)
        return place


@functools.cache
def datasets() -> dict[str, Dataset]:
    """Every dataset by name, sorted."""
    modules = (importlib.import_module(f"{folder.__name__}.{m.name}") for m in pkgutil.iter_modules(folder.__path__))
    return {entry.facts.name: entry for entry in sorted((m.DATASET for m in modules), key=lambda d: d.facts.name)}


def get_dataset(name: str, where: str = "dataset") -> Dataset:
    """The dataset of that name.

    Raises:
        BenchmarkError: unknown name, led by `where`.
    """
    known = datasets()
    if name not in known:
        raise BenchmarkError(f"{where}: unknown dataset '{name}'{closest(name, known)}")
    return known[name]


def available(data_root: Path) -> list[str]:
    """Names of the datasets whose folder stands under a data root."""
    return [
        name
        for name, dataset in datasets().items()
        if any((data_root / folder).is_dir() for folder in dataset.facts.folders)
    ]
