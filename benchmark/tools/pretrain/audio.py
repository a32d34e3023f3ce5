"""The audio to pre-train on: labelled as `folder:` reads it, or whatever lies below a folder."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.audio_store import AudioStore, Level
from benchmark.data.datasets.folder import SUFFIXES, Folder
from benchmark.data.manifest import Clip, Manifest
from benchmark.data.parallel import Progress
from benchmark.errors import BenchmarkError
from benchmark.spec.names import Objective
from benchmark.spec.pretraining import MELS

HELD_OUT = 20  # one clip of so many, where the folder does not say which


@dataclass(frozen=True)
class Audio:
    """Readable clips, how they are read, the level of those that train, and what was left out and why."""

    manifest: Manifest
    recordings: AudioStore
    level: Level
    left_out: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """Clips that train, and that are held out."""
        splits = {"training": "train", "held out": "test"}
        return {name: sum(clip.split == split for clip in self.manifest.clips) for name, split in splits.items()}


def read_audio(folder: Path, objective: Objective, frames: int, cache: Path | None, tell: Progress) -> Audio:
    """Find the clips, decode them into the cache and measure their level over the first `frames` frames.

    Raises:
        BenchmarkError: as `find_audio`, or too few files can be read.
    """
    manifest = find_audio(folder, objective)
    recordings = AudioStore(manifest.folder, cache, MELS)
    doubtful = recordings.lacking(manifest.clips, set(), tell) if cache else list(manifest.clips)
    bad = recordings.fill(doubtful, set(), stop=False, progress=tell, processes=True)
    broken = {error.path for error in bad}
    clips = tuple(clip for clip in manifest.clips if manifest.folder / clip.path not in broken)
    training = [clip for clip in clips if clip.split == "train"]
    if not training or len(training) == len(clips):
        raise BenchmarkError(
            f"{folder}: too few files can be read: {len(training)}, {len(clips) - len(training)} held out"
        )
    level = recordings.statistics(training, frames, tell)
    return Audio(dataclasses.replace(manifest, clips=clips), recordings, level, [str(error) for error in bad])


def find_audio(folder: Path, objective: Objective) -> Manifest:
    """The clips of a folder, each for training or held out (`test`).

    Raises:
        BenchmarkError: there is no audio, or for `supervised` no labels.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise BenchmarkError(f"{folder}: no such folder of audio")
    if objective == "supervised":
        manifest = Folder(folder.name).manifest(folder.parent)
        if not manifest.info.folds:
            return manifest
        test = manifest.info.folds[0]
        clips = [dataclasses.replace(c, fold=None, split="test" if c.fold == test else "train") for c in manifest.clips]
        return dataclasses.replace(manifest, clips=tuple(clips))
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    clips = [Clip.at(folder, name, (), split="train", place=str(folder)) for name in names]
    order = sorted(range(len(clips)), key=lambda place: hashlib.sha1(clips[place].path.encode()).digest())
    for place in order[: len(clips) // HELD_OUT]:
        clips[place] = dataclasses.replace(clips[place], split="test")
    if len(clips) < HELD_OUT:
        raise BenchmarkError(
            f"{folder}: {len(clips)} audio files ({', '.join(SUFFIXES)}) below it; at least {HELD_OUT} are needed"
        )
    return Manifest(Folder("audio").info, folder, tuple(clips), synthetic=False)
