"""Full-size official layouts: all names, counts and splits.

By default the files have one byte and no audio. `fill` writes others: it gets a folder and the paths below it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmark.data.datasets import esc50, gtzan, openmic, urbansound8k
from benchmark.data.datasets.speech_commands import LISTS, which_set
from benchmark.data.registry import get_dataset
from benchmark.data.synthetic import write_table

Fill = Callable[[Path, Iterable[str]], None]


def touch_all(folder: Path, paths: Iterable[str]) -> None:
    """Files of one byte, as links to a few, which is quick."""
    source, made = folder.parent / f".{folder.name}.byte", set()
    for number, path in enumerate(paths):
        target = folder / path
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        if number % 30_000 == 0:  # file systems limit the links to a file
            source.unlink(missing_ok=True)
            source.write_bytes(b"x")
        os.link(source, target)
    source.unlink()


def write_esc50(root: Path, fill: Fill = touch_all) -> None:
    rows = [
        (f"{fold}-{1000 * fold + target}-{take}-{target}.wav", fold, target, name, False, 1000 * fold + target, take)
        for fold, (target, name), take in itertools.product(esc50.FOLDS, enumerate(esc50.CLASSES), "ABCDEFGH")
    ]
    fill(root / "ESC-50-master", (f"audio/{row[0]}" for row in rows))
    write_table(root / "ESC-50-master" / "meta" / "esc50.csv", esc50.COLUMNS, rows)


def write_urbansound8k(root: Path, fill: Fill = touch_all) -> None:
    labels = [label for label, count in enumerate(urbansound8k.CLASS_COUNTS) for _ in range(count)]
    random.Random(0).shuffle(labels)
    folds = [
        fold for fold, count in zip(urbansound8k.FOLDS, urbansound8k.FOLD_COUNTS, strict=True) for _ in range(count)
    ]
    rows = [
        (f"{number}-{label}-0-0.wav", number, 0, 4, 1, fold, label, urbansound8k.CLASSES[label])
        for number, (label, fold) in enumerate(zip(labels, folds, strict=True))
    ]
    fill(root / "UrbanSound8K", (f"audio/fold{row[5]}/{row[0]}" for row in rows))
    write_table(root / "UrbanSound8K" / "metadata" / "UrbanSound8K.csv", urbansound8k.COLUMNS, rows)


def write_speech_commands(root: Path, version: int, fill: Fill = touch_all) -> None:
    info = get_dataset(f"speech_commands_v{version}").info
    folder, left = root / info.folders[0], dict(info.published["split"])
    paths: list[str] = []
    listed: dict[str, list[str]] = {name: [] for name in LISTS}
    for speaker in itertools.count():
        name = f"{hashlib.md5(str(speaker).encode()).hexdigest()[:8]}_nohash_0.wav"
        split = which_set(name)
        said = info.classes[: left[split]]  # every speaker says all words, until there are enough
        left[split] -= len(said)
        paths += [f"{word}/{name}" for word in said]
        if split in listed:
            listed[split] += [f"{word}/{name}" for word in said]
        if not any(left.values()):
            break
    fill(folder, [*paths, *(f"_background_noise_/{number}.wav" for number in range(6)), "cat/.hidden.wav"])
    for split, file in LISTS.items():
        (folder / file).write_text("\n".join(listed[split]) + "\n")


def write_gtzan(root: Path, name: str = "genres", fill: Fill = touch_all) -> None:
    paths = [f"{genre}/{genre}.{number:05d}.wav" for genre in gtzan.CLASSES for number in range(100)]
    hidden = [f"{genre}/._{genre}.00000.wav" for genre in gtzan.CLASSES]
    fill(root / name, [*paths, *hidden, "bextract_single.mf"])


def write_openmic(root: Path, fill: Fill = touch_all) -> None:
    """Annotations such that present and absent add up to the published numbers."""
    info, folder, rows, number = get_dataset("openmic").info, root / "openmic-2018", [], 0
    for split in openmic.PARTITIONS:
        clips = info.published["split"][split]
        present, absent = (info.published[kind][split] for kind in ("present", "absent"))
        keys = [f"{number + i:06d}_{i % 1000}" for i in range(clips)]
        number += clips
        heard = [1] * present + [0] * absent
        random.Random(0).shuffle(heard)
        for position, value in enumerate(heard):
            instrument = openmic.CLASSES[(position // clips * 7 + position) % 20]  # another one each time
            rows.append((keys[position % clips], instrument, 0.9 if value else 0.1, 3))
        write_table(folder / "partitions" / f"split01_{split}.csv", None, [(key,) for key in keys])
        fill(folder, (f"audio/{key[:3]}/{key}.ogg" for key in keys))
    write_table(folder / openmic.LABELS, openmic.COLUMNS, rows)
