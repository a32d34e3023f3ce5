"""The audio for pre-training: a labelled folder as for `folder:NAME`, or all audio files below a folder."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.audio_store import AudioStore, Level
from benchmark.data.datasets.folder import Folder
from benchmark.data.manifest import Clip, Manifest
from benchmark.data.unused import SUFFIXES, find_unused
from benchmark.errors import BenchmarkError
from benchmark.progress import Progress
from benchmark.spec.choices import Objective
from benchmark.spec.pretraining import MELS

HELD_OUT = 20  # one clip of 20 is held out, unless the folder has a split or folds
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Audio:
    """Audio for pre-training.

    Attributes:
        manifest: the readable clips; held-out clips are in the split `test`.
        store: where their audio is read.
        level: of the training clips.
        left_out: bad files, one message each, and files that are not read, one per reason.
    """

    manifest: Manifest
    store: AudioStore
    level: Level
    left_out: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """Return the numbers of training and of held-out clips."""
        splits = {"training": "train", "held out": "test"}
        return {name: sum(clip.split == split for clip in self.manifest.clips) for name, split in splits.items()}


def read_audio(folder: Path, objective: Objective, frames: int, cache: Path | None, progress: Progress) -> Audio:
    """Find the clips, decode them into the cache, and measure their level.

    Args:
        folder: of the audio.
        objective: `supervised` needs labels.
        frames: rows of each filter bank that count for the level.
        cache: folder of the audio cache; None to decode each time.
        progress: called after each file.

    Raises:
        BenchmarkError: see `find_audio`; or too few files can be read.
    """
    manifest = find_audio(folder, objective)
    store = AudioStore(manifest.folder, cache, MELS)
    unread = store.lacking(manifest.clips, set(), progress) if cache else list(manifest.clips)
    bad = store.fill(unread, set(), stop=False, progress=progress, processes=True)
    bad_paths = {error.path for error in bad}
    clips = tuple(clip for clip in manifest.clips if manifest.folder / clip.path not in bad_paths)
    training = [clip for clip in clips if clip.split == "train"]
    if not training or len(training) == len(clips):
        raise BenchmarkError(
            f"{folder}: too few files can be read: {len(training)}, {len(clips) - len(training)} held out"
        )
    logger.info("%s: %d clips for training, %d held out", folder, len(training), len(clips) - len(training))
    level = store.statistics(training, frames, progress)
    unused = find_unused(manifest, lambda _: None, lambda _: "not among the clips of the folder's layout")
    return Audio(dataclasses.replace(manifest, clips=clips), store, level, [*map(str, bad), *map(str, unused)])


def find_audio(folder: Path, objective: Objective) -> Manifest:
    """Return the clips of a folder, for training (`train`) or held out (`test`).

    Raises:
        BenchmarkError: there is no audio, or no labels for `supervised`.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise BenchmarkError(f"{folder}: no such folder of audio")
    if objective == "supervised":
        manifest = Folder(folder.name).manifest(folder.parent)
        if manifest.absent:
            raise BenchmarkError(f"{manifest.absent_text}: get them, or take them out of the table")
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
    order = sorted(range(len(clips)), key=lambda index: hashlib.sha1(clips[index].path.encode()).digest())
    for index in order[: len(clips) // HELD_OUT]:
        clips[index] = dataclasses.replace(clips[index], split="test")
    if len(clips) < HELD_OUT:
        raise BenchmarkError(
            f"{folder}: {len(clips)} audio files ({', '.join(SUFFIXES)}) below it; at least {HELD_OUT} are needed"
        )
    return Manifest(Folder("audio").info, folder, tuple(clips), synthetic=False)
