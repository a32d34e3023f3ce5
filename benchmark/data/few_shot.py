"""Few-shot training: a few clips of each class, drawn so that more shots contain fewer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from benchmark.data.manifest import Clip


def shots_of(clips: Sequence[Clip], per_class: int, seed: int, without: Collection[str] = ()) -> list[Clip]:
    """Return a few training clips, in the order of the list.

    The clips have a random order. In round k, each class that has fewer than k clips gets its next one, rare classes
    first. So a draw of more shots contains every draw of fewer shots with the same seed, and a class has exactly
    `per_class` clips; where clips have several labels, at least that many.

    Args:
        clips: training clips.
        per_class: rounds.
        seed: of the order.
        without: paths of clips whose place the next clip of the order takes, such as unreadable ones. A clip that would
            not be drawn changes nothing.
    """
    queues: Mapping[int, list[int]] = defaultdict(list)
    for place in np.random.default_rng(seed).permutation(len(clips)).tolist():
        for label in clips[place].labels:
            queues[label].append(place)
    rare_first = sorted(queues, key=lambda label: (len(queues[label]), label))
    if without:  # after the order of labels, which bad files do not change
        queues = {
            label: [place for place in queue if clips[place].path not in without] for label, queue in queues.items()
        }
    chosen: set[int] = set()
    counts: Counter[int] = Counter()
    for round_number in range(1, per_class + 1):
        for label in rare_first:
            if counts[label] >= round_number:
                continue
            following = next((place for place in queues[label] if place not in chosen), None)
            if following is not None:
                chosen.add(following)
                counts.update(clips[following].labels)
    return [clips[place] for place in sorted(chosen)]


def smallest_class(clips: Sequence[Clip]) -> tuple[int, int]:
    """Return the class with the fewest training clips of those that have some, and their number: the most shots.

    Args:
        clips: training clips; at least one has a label.
    """
    counts = Counter(label for clip in clips for label in clip.labels)
    return min(counts.items(), key=lambda item: (item[1], item[0]))
