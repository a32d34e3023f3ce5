"""Clips to choose settings by: held out from the training clips where a dataset lists none, never of the test clips."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np

from benchmark.data.manifest import Clip, Manifest
from benchmark.errors import BenchmarkError

SHARE = 0.2  # of the training clips
SEED = 20240119  # fixed: every search of a dataset chooses by the same clips


class ValidationSplit(NamedTuple):
    """A manifest with the splits train and validation and without any test clip, and what its validation clips are."""

    manifest: Manifest
    rule: str


def hold_out(manifest: Manifest, fold: int) -> ValidationSplit:
    """Take away the test clips, and hold out validation clips where there are none.

    Datasets that list validation clips keep them; of folds, the training fold that follows the test fold is held out
    (the first behind the last); else a share of the training clips, of every class alike, the same in every call.

    Args:
        manifest: what there is.
        fold: the test fold; 0 where there are no folds.

    Raises:
        BenchmarkError: nothing is left to train on, or to hold out.
    """
    info = manifest.info
    if info.folds:
        following = [each for each in info.folds if each > fold] + [each for each in info.folds if each < fold]
        kept = [clip for clip in manifest.clips if clip.fold != fold]
        held = {clip.path for clip in kept if clip.fold == following[0]}
        rule = f"fold {following[0]}, held out from the training folds of test fold {fold}"
    elif "validation" in info.splits:
        kept = [clip for clip in manifest.clips if clip.split != "test"]
        held = {clip.path for clip in kept if clip.split == "validation"}
        rule = "the dataset's validation list"
    else:
        kept = [clip for clip in manifest.clips if clip.split == "train"]
        held = _share_of(kept)
        rule = f"{100 * SHARE:.0f} % of the training clips, of every class alike"
    clips = tuple(
        dataclasses.replace(clip, fold=None, split="validation" if clip.path in held else "train") for clip in kept
    )
    if not held or len(held) == len(clips):
        raise BenchmarkError(f"{manifest.folder}: too few training clips to hold some out for validation")
    reduced = dataclasses.replace(info, folds=(), splits=("train", "validation"))
    return ValidationSplit(Manifest(reduced, manifest.folder, clips, manifest.synthetic), rule)


def _share_of(clips: list[Clip]) -> set[str]:
    """Paths of the share; a clip with several labels counts for the rarest of them."""
    frequency = Counter(label for clip in clips for label in clip.labels)
    groups: dict[int, list[str]] = defaultdict(list)
    for clip in clips:
        groups[min(clip.labels, key=lambda label: (frequency[label], label), default=-1)].append(clip.path)
    generator = np.random.default_rng(SEED)
    held: set[str] = set()
    for _, paths in sorted(groups.items()):
        number = max(math.floor(SHARE * len(paths) + 0.5), 1) if len(paths) > 1 else 0
        held |= {paths[i] for i in generator.permutation(len(paths))[:number]}
    return held
