"""The interface of a dataset: info, a reader of its layout, and for generated audio a writer."""

from __future__ import annotations

import json
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.locate import find_folders, missing_folder
from benchmark.data.manifest import ABSENT, Clip, Manifest
from benchmark.data.parallel import in_order
from benchmark.data.synthetic import Sound
from benchmark.data.unused import Unused, files_below, find_unused, is_document
from benchmark.errors import BenchmarkError
from benchmark.progress import Progress
from benchmark.spec.recipe import Layer
from benchmark.units import plural

SYNTHETIC_MARKER = "SYNTHETIC.json"
LENGTH_TOLERANCE = 0.05  # seconds
Tally = dict[str, dict[str, int]]


class Measured(NamedTuple):
    """What was measured of the audio of a file: its length in seconds, and its sample rate in Hz."""

    seconds: float
    rate: int


class Dataset(ABC):
    """Read one official layout."""

    info: DatasetInfo

    @property
    def recipe(self) -> str:
        """Return the name of the recipe file."""
        return self.info.name

    def own_recipe(self, folder: Path) -> list[Layer]:
        """Return recipe values that were measured on the data itself."""
        return []

    @abstractmethod
    def read(self, folder: Path) -> list[Clip]:
        """Return the clips of an official folder, in a stable order; no audio is read.

        Clips that the metadata lists and whose file does not exist are `ABSENT`.

        Raises:
            BenchmarkError: the folder does not follow the layout.
        """

    def manifest(self, data_root: Path) -> Manifest:
        """Return the manifest of this dataset under a data root.

        Raises:
            MissingInputError: the dataset's folder does not exist.
            BenchmarkError: the folder does not follow the layout, or has no clips.
        """
        place, *others = self._copies(data_root)
        remarks = [f"{place} is used; {' and '.join(map(str, others))} is another copy"] if others else []
        return make_manifest(self.info, place, self.read(place), remarks)

    def find(self, data_root: Path) -> Path:
        """Return the dataset's folder: under a data root by one of its names, one folder deeper, or the root itself.

        Raises:
            MissingInputError: it does not exist.
        """
        return self._copies(data_root)[0]

    def locate(self, data_root: Path) -> Path | None:
        """Return the dataset's folder as `find` does; None if it does not exist."""
        return next(iter(find_folders(self.info, data_root, self.recognises)), None)

    def _copies(self, data_root: Path) -> list[Path]:
        if copies := find_folders(self.info, data_root, self.recognises):
            return copies
        raise missing_folder(self.info, data_root, self.recognises)

    def recognises(self, folder: Path) -> bool:
        """Return whether a folder has the dataset's layout, or is named as its folder."""
        return folder.name in {PurePosixPath(name).name for name in self.info.folders}

    def folder_name(self, found: Path) -> str:
        """Return the name under which an unpacked folder is kept."""
        return found.name if found.name in self.info.folders else self.info.folders[0]

    def left_out(self, path: PurePosixPath) -> str | None:
        """Return why the dataset's own rules leave out a file of its folder; None if they do not."""
        return None

    def misplaced(self, path: PurePosixPath) -> str:
        """Return why a file with the ending of audio is no clip."""
        return "not in the metadata"

    def unused(self, manifest: Manifest) -> list[Unused]:
        """Return the files of the folder that are not used, by reason; see `find_unused`."""
        return find_unused(manifest, self.left_out, self.misplaced)

    def remarks(self, manifest: Manifest) -> list[str]:
        """Return what a user must know about a copy, one line each."""
        return list(manifest.remarks)

    def published_path(self, path: str) -> str:
        """Return the path of a file in the published digest."""
        return f"{self.info.audio.prefix if self.info.audio else ''}{path}"

    def audio_files(self, manifest: Manifest) -> list[str]:
        """Return the paths of the files in the published digest: those of the clips, or more."""
        return [clip.path for clip in manifest.clips]

    def alterations(self, manifest: Manifest, measured: Mapping[str, Measured]) -> list[str]:
        """Return signs that the audio is not the publisher's, one line each.

        Args:
            manifest: clips of the folder.
            measured: by path, of the clips whose file is good.
        """
        rate, lengths = self.info.rate, self.info.lengths
        other_rate = [path for path, file in measured.items() if rate and file.rate != rate]
        other_length = [path for path, file in measured.items() if lengths and not is_within(file.seconds, *lengths)]
        remarks = []
        if other_rate:
            remarks.append(f"altered: {among(other_rate, measured)} do not have the published {rate} Hz: resampled")
        if lengths and other_length:
            published = " to ".join(f"{length:g}" for length in dict.fromkeys(lengths))
            remarks.append(f"altered: {among(other_length, measured)} do not last the published {published} s")
        return remarks

    def problems(self, manifest: Manifest) -> list[str]:
        """Return faults of the metadata, one line each; called if the folder has all official clips."""
        return []


def make_manifest(info: DatasetInfo, folder: Path, listed: Sequence[Clip], remarks: Sequence[str] = ()) -> Manifest:
    """Return the manifest of the clips whose file is there, and of those whose file is not.

    Args:
        info: facts of the dataset.
        folder: the dataset's.
        listed: all clips that the metadata lists.
        remarks: what was read in another way than it is written.

    Raises:
        BenchmarkError: no clip has a file.
    """
    clips = tuple(clip for clip in listed if clip.size != ABSENT)
    absent = tuple(clip for clip in listed if clip.size == ABSENT)
    if not clips:
        if absent:
            seen = f": {plural(len(absent), 'clip')} listed, but not one file is there, not {absent[0].path}"
        else:
            file = next((path for path in files_below(folder) if not is_document(PurePosixPath(path))), None)
            seen = f"; there is {file}" if file else "; it has no files"
        raise BenchmarkError(f"{folder}: has no clips of {info.label}{seen}")
    return Manifest(info, folder, clips, (folder / SYNTHETIC_MARKER).is_file(), absent, tuple(remarks))


def is_within(seconds: float, shortest: float, longest: float) -> bool:
    """Return whether a length is between two lengths, or differs little."""
    return shortest - LENGTH_TOLERANCE <= seconds <= longest + LENGTH_TOLERANCE


def among(paths: Collection[str], every: Collection[str]) -> str:
    """Return how many of all clips these are, and the first of them."""
    return f"{len(paths)} of {len(every)} clips (such as {min(paths)})"


def tally(manifest: Manifest) -> Tally:
    """Count clips by class, and by fold or split; for partly annotated datasets also positive and negative labels."""
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
        """Write the metadata of the official layout into an empty folder, and yield the sounds to write.

        Args:
            folder: the dataset's.
            classes: use the first `classes` classes only.
            clips_per_class: clips of each class in every fold or split.
            seed: of the audio.
            seconds: full length of a clip; some layouts have shorter clips too.
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
        """Generate the dataset's folder under a data root, completely or not at all; the same call again does nothing.

        Args:
            data_root: where the folder is written.
            classes: use the first `classes` classes only; None for all.
            clips_per_class: clips of each class in every fold or split.
            seed: of the audio.
            seconds: length of a clip; None for the dataset's.
            progress: called after each file.

        Returns:
            The folder. A marker file in it shows that the data is not real.

        Raises:
            BenchmarkError: the folder exists with other data, or the dataset has fewer classes.
        """
        available = len(self.info.classes)
        if classes is not None and not 2 <= classes <= available:
            raise BenchmarkError(f"{self.info.label} has {available} classes, {classes} were requested")
        settings: dict[str, Any] = {"classes": classes or available, "clips_per_class": clips_per_class, "seed": seed}
        if seconds is not None:
            settings["seconds"] = seconds
        place = data_root / self.info.folders[0]
        found = self.locate(data_root)
        if found and found.name != place.name:
            raise BenchmarkError(f"{found}: is a copy of {self.info.label} already; use another folder")
        if place.exists():
            marker = place / SYNTHETIC_MARKER
            if not marker.is_file() or marker.read_text() != json.dumps(settings):
                raise BenchmarkError(f"{place}: exists already with other data; remove it or use another folder")
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
