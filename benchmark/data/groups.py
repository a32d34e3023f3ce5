"""Groups of clips that are not independent: clips of one recording, speaker or site.

Groups are assigned to folds by the idea of scikit-learn's `StratifiedGroupKFold`: large and one-sided groups first,
each to the fold that leaves all classes spread most evenly. This code is the suite's own, because the assignment is
part of a trial's id and must not depend on a library's version or a machine; it also takes clips with several labels.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.data.manifest import Clip
from benchmark.errors import BenchmarkError
from benchmark.units import plural

FOLDS = 5
UNLABELLED = -1
UNEVEN = 2  # sizes of the largest and the smallest fold, as a ratio, from which on a remark is made


def compile_pattern(text: str) -> re.Pattern[str]:
    r"""Return the regular expression that finds a clip's group in its path, such as `REC_(\d+)_`.

    Raises:
        BenchmarkError: it is not a regular expression.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise BenchmarkError(f"group '{text}': not a regular expression: {error}") from None


def grouped(clips: Sequence[Clip], pattern: re.Pattern[str], where: Path) -> list[Clip]:
    """Return clips with the groups that a pattern finds in their paths: its parenthesised parts, or the whole match.

    Args:
        clips: the clips.
        pattern: see `compile_pattern`.
        where: the folder, for messages.

    Raises:
        BenchmarkError: the pattern does not occur in a path, or is empty there.
    """
    found = []
    for clip in clips:
        match = pattern.search(clip.path)
        name = "/".join(filter(None, match.groups() or (match[0],))) if match else ""
        if not name:
            raise BenchmarkError(f"{where}: {clip.path}: the group pattern '{pattern.pattern}' is not in its path")
        found.append(replace(clip, group=name))
    return found


def are_shared(clips: Sequence[Clip]) -> bool:
    """Return whether some clips are of one group."""
    return len({clip.group for clip in clips}) < len(clips)


def deal_groups(clips: Sequence[Clip], classes: Sequence[str], where: Path) -> tuple[list[Clip], list[str]]:
    """Return clips with folds, each group in one fold, balanced by class as far as possible; and remarks.

    The same clips are assigned in the same way, in any order.

    Args:
        clips: with groups.
        classes: names of the classes, for messages.
        where: the folder or table, for messages.

    Raises:
        BenchmarkError: there are fewer groups than folds, or all clips of a class are in one group or one fold.
    """
    members: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        members[clip.group].append(clip)
    if len(members) < FOLDS:
        raise BenchmarkError(f"{where}: has {plural(len(members), 'group')}, fewer than the {FOLDS} folds")
    names = sorted(members, key=lambda name: hashlib.sha1(name.encode()).digest())
    counts = [_labels(members[name]) for name in names]
    folds = _assign(counts)
    for label, name in enumerate(classes):
        holders = [number for number, found in enumerate(counts) if found[label]]
        if len(holders) == 1:
            raise BenchmarkError(
                f"{where}: all {plural(counts[holders[0]][label], 'clip')} of class '{name}' are in the group "
                f"'{names[holders[0]]}': it cannot be in training and test clips"
            )
        if len({folds[holder] for holder in holders}) == 1:
            raise BenchmarkError(
                f"{where}: the groups cannot be balanced: all clips of class '{name}' would be in one fold"
            )
    fold_of = {name: fold + 1 for name, fold in zip(names, folds, strict=True)}
    dealt = [replace(clip, fold=fold_of[clip.group]) for clip in clips]
    sizes = [number for _, number in sorted(Counter(clip.fold for clip in dealt).items())]
    remarks = [f"{plural(len(names), 'group')} in {FOLDS} folds, balanced by class"]
    if max(sizes) > UNEVEN * min(sizes):
        remarks.append(f"folds are uneven, as groups are: {', '.join(map(str, sizes))} clips")
    return dealt, remarks


def with_groups(
    clips: Sequence[Clip], classes: Sequence[str], pattern: str | None, where: Path, *, deal: bool
) -> tuple[list[Clip], list[str]]:
    """Return clips with the groups of a pattern, and remarks.

    Args:
        clips: the clips.
        classes: names of the classes.
        pattern: see `compile_pattern`; None keeps the groups that the clips have.
        where: the folder or table, for messages.
        deal: whether groups are assigned to folds; else the clips have folds or splits, and divided groups are named.

    Raises:
        BenchmarkError: as `grouped` and `deal_groups`.
    """
    found = list(clips) if pattern is None else grouped(clips, compile_pattern(pattern), where)
    return deal_groups(found, classes, where) if deal else (found, divided_groups(found))


def divided_groups(clips: Sequence[Clip]) -> list[str]:
    """Return a remark on groups that have clips in several folds or splits: scores may be too high."""
    parts: dict[str, set[int | str | None]] = defaultdict(set)
    for clip in clips:
        parts[clip.group].add(clip.split if clip.fold is None else clip.fold)
    divided = sorted(name for name, found in parts.items() if len(found) > 1)
    if not divided:
        return []
    unit = "folds" if clips[0].fold is not None else "splits"
    return [f"{plural(len(divided), 'group')} with clips in several {unit}, such as '{divided[0]}'"]


def _labels(clips: Sequence[Clip]) -> Counter[int]:
    """Return the number of clips of each class; clips without a label count as a class."""
    return Counter(label for clip in clips for label in clip.labels or (UNLABELLED,))


def _assign(counts: Sequence[Counter[int]]) -> list[int]:
    """Return the fold of each group, from 0.

    To add a group with shares g of all classes to a fold with shares f changes the fold's sum of squares by
    g (g + 2 f): the fold with the smallest f g keeps the variance over folds smallest. Sums are correctly rounded, so
    that machines agree.

    Args:
        counts: clips by class, of each group.
    """
    totals = sum(counts, Counter())
    shares = [{label: number / totals[label] for label, number in group.items()} for group in counts]
    squares = [math.fsum(share * share for share in group.values()) for group in shares]
    folds = [0] * len(counts)
    filled: list[Counter[int]] = [Counter() for _ in range(FOLDS)]  # clips by class
    for group in sorted(range(len(counts)), key=lambda number: (-squares[number], -counts[number].total(), number)):

        def growth(fold: int, group: int = group) -> tuple[float, int, int]:
            parts = (share * filled[fold][label] / totals[label] for label, share in shares[group].items())
            return math.fsum(parts), filled[fold].total(), fold

        folds[group] = min(range(FOLDS), key=growth)
        filled[folds[group]] += counts[group]
    return folds
