"""Measure audio: level of the filter banks, lengths, formats."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from benchmark.data.audio import BadAudioError, cancelling, read_audio
from benchmark.data.audio_store import AudioStore, Level
from benchmark.data.class_gaps import class_gaps
from benchmark.data.copy_notes import copy_notes
from benchmark.data.dataset import Dataset, tally
from benchmark.data.manifest import Clip, Manifest
from benchmark.data.measured_dataset import RECIPE
from benchmark.data.parallel import in_order
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.files import write_atomic
from benchmark.progress import Progress
from benchmark.spec.recipe import Recipe, resolve_recipe

MELS = 128
FAINTEST = 1e-3  # standard deviation of log mel; audio below it is digital silence
BINS = 10  # of the histogram of lengths
FRAMES_PER_SECOND = 100
COVERED = 0.98  # share of a folder's clips that are not cut by the frames of its recipe
FEWEST_FRAMES, MOST_FRAMES, FRAMES_STEP = 64, 1024, 16
LEFT_OUT = "left out: "  # beginning of a remark on a bad file
ALL_FOLDS = (
    "length and level are measured on the clips of all folds, so on test clips, too; "
    "--set protocol.norm_stats=training_clips takes the level of the training clips of each fold"
)
TIME_MASK = 96 / 512  # share of the frames, as in the official ESC-50 recipe


def own_or_declared_recipe(dataset: Dataset, manifest: Manifest) -> Recipe:
    """Return the recipe of AST with a PEFT method, for its frames, mel bands, mean and standard deviation."""
    own = dataset.own_recipe(manifest.folder)
    return resolve_recipe(
        dataset.recipe, backbone="ast", method="aat_ms", tuning="peft", of_folder=own, overrides=[]
    ).recipe


def level_statistics(
    dataset: Dataset, manifest: Manifest, cache: Path | None, folds: tuple[int, ...], progress: Progress | None
) -> dict[str, Any]:
    """Measure mean and standard deviation of the training clips' filter banks per fold, to compare with the recipe's.

    Args:
        dataset: for the recipe.
        manifest: its clips.
        cache: folder of the audio cache; None to decode each time.
        folds: which folds; empty for all that have clips.
        progress: called after each clip.

    Raises:
        BenchmarkError: the dataset has no such fold.
    """
    if unknown := [fold for fold in folds if fold not in manifest.info.fold_units]:
        raise BenchmarkError(f"{manifest.info.name}: has no fold {unknown[0]}")
    recipe = own_or_declared_recipe(dataset, manifest)
    training = {fold: manifest.splits(fold)["train"] for fold in folds or manifest.folds}
    used = sorted({index for indices in training.values() for index in indices})
    audio = AudioStore(manifest.folder, cache, recipe.mels)
    levels, bad = _levels(audio, {index: manifest.clips[index] for index in used}, recipe.frames, progress)
    measured = {}
    for fold, indices in training.items():
        known = [levels[index] for index in indices if index in levels]
        level = sum(known, start=Level())
        measured[str(fold)] = {"mean": level.mean, "std": level.std, "clips": len(known)}
    return {
        "left out": [*bad, *([manifest.absent_text] if manifest.absent else [])],
        "dataset": manifest.info.name,
        "kind": manifest.kind,
        "frames": recipe.frames,
        "recipe": {"mean": recipe.mean, "std": recipe.std},
        "training clips of fold": measured,
    }


def describe(dataset: Dataset, data_root: Path, progress: Progress | None = None) -> dict[str, Any]:
    """Return the info of a dataset; if its folder exists, also clips by class and split, lengths and formats.

    All files are decoded: headers of compressed audio do not always give its length.
    """
    try:
        manifest = dataset.manifest(data_root)
    except MissingInputError as error:
        return {**dataclasses.asdict(dataset.info), "here": str(error)}
    lengths: list[float] = []
    formats: Counter[str] = Counter()
    cancelled: list[str] = []
    found = in_order(functools.partial(_measure, manifest.folder), manifest.clips, processes=True)
    for number, (clip, file) in enumerate(zip(manifest.clips, found, strict=True), start=1):
        formats[file.format if file else "unreadable"] += 1
        if file:
            lengths.append(file.seconds)
            cancelled += [clip.path] * file.cancels
        if progress:
            progress("decoding", number, len(manifest.clips))
    here: dict[str, Any] = {
        "folder": str(manifest.folder),
        "kind": manifest.kind,
        "clips": len(manifest.clips),
        "manifest": manifest.digest,
        **tally(manifest),
        "seconds": _histogram(lengths),
        "hours": round(sum(lengths) / 3600, 2),
        "format": dict(formats.most_common()),
        "not used": {unused.reason: len(unused.paths) for unused in dataset.unused(manifest)},
        "notes": [
            *copy_notes(dataset, manifest),
            *class_gaps(manifest, manifest.folds),
            *([cancelling(cancelled)] if cancelled else []),
        ],
    }
    return {**dataclasses.asdict(manifest.info), "here": here}


def write_folder_recipe(
    dataset: Dataset, data_root: Path, cache: Path | None, progress: Progress | None
) -> tuple[Path, list[str]]:
    """Measure the audio of a folder, and write the recipe values that depend on it into its folder.

    Frames cover nearly all clips. Mean and standard deviation are over all training clips. With folds these are all
    clips, as each fold is tested in turn; a remark says so.

    Args:
        dataset: one whose recipe is measured.
        data_root: where its folder is.
        cache: folder of the audio cache; None to decode each time.
        progress: called after each clip.

    Returns:
        The file, and remarks: bad files, which are left out, how many clips are cut, classes without clips, and test
        clips that were measured.

    Raises:
        BenchmarkError: there is a recipe already, or there is no audio to measure.
    """
    manifest = dataset.manifest(data_root)
    path = manifest.folder / RECIPE
    if path.exists():
        raise BenchmarkError(f"{path}: exists already; remove it to measure again")
    info = manifest.info
    training = [clip for clip in manifest.clips if clip.split in {None, "train"}]
    found = in_order(functools.partial(_measure, manifest.folder), training, processes=True)
    good = {clip.path: file for clip, file in zip(training, found, strict=True) if file}
    lengths = [file.seconds for file in good.values()]
    if not lengths:
        raise BenchmarkError(f"{manifest.folder}: no file can be decoded")
    steps = math.ceil(np.quantile(lengths, COVERED) * FRAMES_PER_SECOND / FRAMES_STEP)
    frames = min(max(FEWEST_FRAMES, steps * FRAMES_STEP), MOST_FRAMES)
    audio = AudioStore(manifest.folder, cache, MELS)
    levels, bad = _levels(audio, dict(enumerate(training)), frames, progress)
    level = sum(levels.values(), start=Level())
    if not level.cells or level.std < FAINTEST:
        raise BenchmarkError(f"{manifest.folder}: nothing to measure: all clips are bad or digital silence")
    values = {
        "frames": frames,
        "mean": round(level.mean, 7),
        "std": round(level.std, 7),
        "time_mask": round(TIME_MASK * frames),
        "loss": "bce" if info.multi_label else "cross_entropy",
    }
    source = f"measured on {len(levels)} {'' if info.folds else 'training '}clips of {info.name}"
    write_atomic(path, yaml.safe_dump({"source": source, "values": values}, sort_keys=False).encode())
    cut = sum(length > frames / FRAMES_PER_SECOND + 0.05 for length in lengths)
    remarks = [f"{LEFT_OUT}{line}" for line in bad]
    if cancelled := [path for path, file in good.items() if file.cancels]:
        remarks.append(cancelling(cancelled))
    if cut:
        seconds = frames / FRAMES_PER_SECOND
        remarks.append(
            f"{cut} of {len(lengths)} clips are longer than {seconds:g} s and are cut; "
            "--set recipe.windows=all uses all of them"
        )
    unreadable = {clip.path for index, clip in enumerate(training) if index not in levels}
    if info.folds:
        remarks.append(ALL_FOLDS)
    return path, [*remarks, *class_gaps(manifest, manifest.folds, unreadable)]


def _levels(
    audio: AudioStore, clips: dict[int, Clip], frames: int, progress: Progress | None
) -> tuple[dict[int, Level], list[str]]:
    """Return levels by index, and what is wrong with the files of the other clips."""
    levels: dict[int, Level] = {}
    bad: list[str] = []
    for index, level in zip(clips, audio.levels(list(clips.values()), frames, progress), strict=True):
        if isinstance(level, BadAudioError):
            bad.append(f"{level.path}: {level.reason}")
        else:
            levels[index] = level
    return levels, bad


class _File(NamedTuple):
    """Format, length in seconds, and whether the channels cancel each other."""

    format: str
    seconds: float
    cancels: bool


def _measure(folder: Path, clip: Clip) -> _File | None:
    """Decode a file; return None if it is bad."""
    try:
        audio = read_audio(folder / clip.path)
    except BadAudioError:
        return None
    channels = {1: "mono", 2: "stereo"}.get(audio.channels, f"{audio.channels} channels")
    return _File(f"{audio.format} {audio.rate} Hz {channels}", audio.seconds, audio.cancels)


def _histogram(lengths: list[float]) -> dict[str, int]:
    """Count clips by length in seconds."""
    if not lengths:
        return {}
    if max(lengths) - min(lengths) < 0.01:
        return {f"{max(lengths):.2f}": len(lengths)}
    counts, edges = np.histogram(lengths, bins=BINS)
    return {f"{low:.2f} to {high:.2f}": int(n) for n, low, high in zip(counts, edges, edges[1:], strict=False)}
