"""Validation clips for choosing settings: listed by the dataset, or held out from its training clips."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.manifest import Clip, Manifest
from benchmark.errors import BenchmarkError

SHARE = 0.2  # of the training clips
MAX_NAMED = 3  # classes
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
        rule = f"{100 * len(validation) / len(kept):.0f} % of the training clips, stratified by class"
        if len({clip.group for clip in kept}) < len(kept):
            rule += ", groups of clips whole"
    clips = tuple(
        dataclasses.replace(clip, fold=None, split="validation" if clip.path in validation else "train")
        for clip in kept
    )
    if not validation or len(validation) == len(clips):
        raise BenchmarkError(f"{manifest.folder}: too few training clips to hold some out for validation")
    reduced = dataclasses.replace(info, folds=(), splits=("train", "validation"), held_out=not info.has_validation)
    rule += _unseen(reduced, clips)
    return ValidationSplit(Manifest(reduced, manifest.folder, clips, manifest.synthetic), rule)


def _unseen(info: DatasetInfo, clips: Sequence[Clip]) -> str:
    """Return which classes no validation clip has, for the end of a rule; empty if each has some."""
    validated = {label for clip in clips if clip.split == "validation" for label in clip.labels}
    lacking = [info.classes[label] for label in sorted({label for clip in clips for label in clip.labels} - validated)]
    if not lacking:
        return ""
    more = f" and {len(lacking) - MAX_NAMED} more" if len(lacking) > MAX_NAMED else ""
    return f"; without clips of {', '.join(lacking[:MAX_NAMED])}{more}"


def held_out_sizes(info: DatasetInfo, fold: int) -> dict[str, int]:
    """Return the official number of clips per split after `hold_out`; empty if none are published.

    Args:
        info: facts of the dataset.
        fold: the test fold; 0 if the dataset has no folds.
    """
    sizes = info.split_sizes(fold)
    if not sizes:
        return {}
    train, validation = sizes["train"], sizes.get("validation", 0)
    if info.folds:
        following = next((number for number in info.folds if number > fold), info.folds[0])
        validation = info.split_sizes(following)["test"]
    elif not validation:
        validation = round(SHARE * train)
    listed = "validation" in sizes
    return {"train": train if listed else train - validation, "validation": validation}


def share_of(clips: Sequence[Clip]) -> set[str]:
    """Return the paths of a stratified share in which groups are whole.

    A group counts for the rarest label of its clips, and a clip with several labels for its rarest one. Of each label a
    group stays for training. If every group is too large for the share, the smallest one is held out, so that the
    label counts; a label with one group has none.
    """
    frequency = Counter(label for clip in clips for label in clip.labels)
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        groups[clip.group].append(clip)
    by_label: dict[int, list[list[Clip]]] = defaultdict(list)
    for group in groups.values():
        labels = (label for clip in group for label in clip.labels)
        by_label[min(labels, key=lambda label: (frequency[label], label), default=-1)].append(group)
    generator = np.random.default_rng(SEED)
    chosen: set[str] = set()
    for _, of_label in sorted(by_label.items()):
        order = [of_label[i] for i in generator.permutation(len(of_label))]
        wanted = max(math.floor(SHARE * sum(map(len, order)) + 0.5), 1)
        held = 0
        for group in order[:-1]:  # one group stays for training
            if abs(held + len(group) - wanted) < abs(held - wanted):
                held += len(group)
                chosen |= {clip.path for clip in group}
        if not held and len(order) > 1:
            chosen |= {clip.path for clip in min(order, key=len)}
    return chosen
