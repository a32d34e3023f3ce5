"""Find classes that a model cannot learn or that no score covers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from benchmark.data.manifest import Clip, Manifest

SHOWN = 3  # classes that a line names


def class_gaps(manifest: Manifest, folds: Sequence[int], bad: Collection[str] = ()) -> list[str]:
    """Return one line per split that lacks classes which other clips have.

    Args:
        manifest: the clips.
        folds: test folds in use; (0,) if the dataset has no folds.
        bad: paths of clips that cannot be used.
    """
    clips = [clip for clip in manifest.clips if clip.path not in bad]
    known = {label for clip in (*manifest.clips, *manifest.absent) for label in clip.labels}
    gaps: dict[str, dict[int, list[int]]] = {"training": defaultdict(list), "test": defaultdict(list)}
    holders: dict[int, set[int | str | None]] = defaultdict(set)
    for clip in clips:
        for label in clip.labels:
            holders[label].add(_part(clip))
    for fold in folds:
        held_out = {fold, manifest.following(fold)} if manifest.info.validation_fold else {fold}
        for label in sorted(known):
            if not (holders[label] - held_out if manifest.info.folds else holders[label] & {"train"}):
                gaps["training"][label].append(fold)
            if (fold if manifest.info.folds else "test") not in holders[label]:
                gaps["test"][label].append(fold)
    return [_line(manifest, split, by_label) for split, by_label in gaps.items() if by_label]


def _part(clip: Clip) -> int | str | None:
    return clip.split if clip.fold is None else clip.fold


def _line(manifest: Manifest, split: str, by_label: dict[int, list[int]]) -> str:
    """Return `2 classes have no test clips: cat (fold 1), dog (folds 1, 3)`."""
    names = []
    for label, folds in list(by_label.items())[:SHOWN]:
        numbers = f" (fold{'s' if folds[1:] else ''} {', '.join(map(str, folds))})" if manifest.info.folds else ""
        names.append(f"{manifest.info.classes[label]}{numbers}")
    count = len(by_label)
    rest = f" and {count - SHOWN} more" if count > SHOWN else ""
    return f"{count} class{' has' if count == 1 else 'es have'} no {split} clips: {', '.join(names)}{rest}"
