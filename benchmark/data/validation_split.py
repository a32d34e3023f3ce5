"""Validation clips for choosing settings: listed by the dataset, or held out from its training clips."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmark.data.manifest import Clip, Manifest
from benchmark.errors import BenchmarkError

SHARE = 0.2  # of the training clips
SEED = 20240119  # fixed: every search on a dataset uses the same validation clips


class ValidationSplit(NamedTuple):
    """A dataset without its test clips.

    Attributes:
        manifest: has the splits `train` and `validation` only.
        rule: how the validation clips were chosen.
    """

    manifest: Manifest
    rule: str


def hold_out(manifest: Manifest, fold: int) -> ValidationSplit:
    """Remove the test clips, and hold out validation clips if the dataset lists none.

    - Listed validation clips are kept.
    - With folds, the fold with clips after the test fold is held out; after the last fold, the first one.
    - Otherwise a share of the training clips is held out, stratified by class, and the same in every call.

    Args:
        manifest: all clips.
        fold: the test fold; 0 if the dataset has no folds.

    Raises:
        BenchmarkError: no clips are left for training or for validation.
    """
    info = manifest.info
    if info.folds:
        following = manifest.following(fold)
        kept = [clip for clip in manifest.clips if clip.fold != fold]
        validation = {clip.path for clip in kept if clip.fold == following}
        rule = f"fold {following}, held out from the training folds of test fold {fold}"
    elif "validation" in info.splits:
        kept = [clip for clip in manifest.clips if clip.split != "test"]
        validation = {clip.path for clip in kept if clip.split == "validation"}
        rule = "the dataset's validation list"
    else:
        kept = [clip for clip in manifest.clips if clip.split == "train"]
        validation = share_of(kept)
        rule = f"{100 * SHARE:.0f} % of the training clips, stratified by class"
    clips = tuple(
        dataclasses.replace(clip, fold=None, split="validation" if clip.path in validation else "train")
        for clip in kept
    )
    if not validation or len(validation) == len(clips):
        raise BenchmarkError(f"{manifest.folder}: too few training clips to hold some out for validation")
    reduced = dataclasses.replace(info, folds=(), splits=("train", "validation"))
    return ValidationSplit(Manifest(reduced, manifest.folder, clips, manifest.synthetic), rule)


def share_of(clips: Sequence[Clip]) -> set[str]:
    """Return the paths of a stratified share; a clip with several labels counts for its rarest label."""
    frequency = Counter(label for clip in clips for label in clip.labels)
    groups: dict[int, list[str]] = defaultdict(list)
    for clip in clips:
        groups[min(clip.labels, key=lambda label: (frequency[label], label), default=-1)].append(clip.path)
    generator = np.random.default_rng(SEED)
    chosen: set[str] = set()
    for _, paths in sorted(groups.items()):
        number = max(math.floor(SHARE * len(paths) + 0.5), 1) if len(paths) > 1 else 0
        chosen |= {paths[i] for i in generator.permutation(len(paths))[:number]}
    return chosen
