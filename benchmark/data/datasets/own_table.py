"""The table `clips.csv` of a user's own audio: columns, folds, splits and labels as people write them."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from benchmark.commands import command
from benchmark.data.file_finder import FileFinder
from benchmark.data.groups import with_groups
from benchmark.data.manifest import Clip, Split
from benchmark.data.measured_dataset import SPLITS
from benchmark.data.metadata_files import column_names, is_utf, one_of, read_rows
from benchmark.data.unused import SUFFIXES
from benchmark.errors import BenchmarkError
from benchmark.spec.yaml import Spec, read_yaml, validate
from benchmark.units import plural

TABLE, COLUMNS = "clips.csv", "columns.yaml"
SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "training": "train", "trn": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "development": "validation",
    "test": "test", "testing": "test", "tst": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
UNSURE = {"dev", "development", "eval", "evaluation"}
# names of columns in lower case
NAMES = {
    "path": ("path", "file_path", "filepath", "filename", "file_name", "file", "fname", "audio", "audio_path", "wav"),
    "label": ("label", "labels", "class", "class_name", "classname", "category", "tag", "tags"),
    "fold": ("fold", "folds"),
    "split": ("split", "subset", "partition", "set"),
    "group": ("group",),
}
# what programs write for a value that they do not have, in lower case: the list of pandas.read_csv, and `NaT`
MISSING = {
    "nan", "-nan", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind", "nat", "na", "<na>", "#na", "n/a", "#n/a", "#n/a n/a",
    "null", "none",
}  # fmt: skip
SEPARATOR, SUSPECTS, JOINTS = "|", ",;", "/+&"
MAX_FOLDS = 1000
Rows = Sequence[tuple[str, Mapping[str, str]]]


class Columns(Spec):
    """How to read a table; the content of `columns.yaml`, which `data prepare --columns` writes.

    Attributes:
        path: name of the column of paths; None to find it by its name.
        label: of labels.
        fold: of folds.
        split: of splits.
        group: of groups.
        separator: between several labels of a clip.
        names: labels that are names of classes, though programs write them for missing values; written by hand.
        group_pattern: regular expression that finds the group of a clip in its path; also without a table.
    """

    path: str | None = None
    label: str | None = None
    fold: str | None = None
    split: str | None = None
    group: str | None = None
    separator: str | None = Field(default=None, min_length=1, max_length=1)
    names: tuple[str, ...] = ()
    group_pattern: str | None = Field(default=None, min_length=1)


class Table(NamedTuple):
    """What a table lists.

    Attributes:
        clips: in the order of their paths.
        classes: in alphabetical order.
        remarks: what was read in another way than it is written.
    """

    clips: list[Clip]
    classes: tuple[str, ...]
    remarks: list[str]


class _Labels(NamedTuple):
    """Labels of each row, and remarks."""

    of_rows: list[list[str]]
    remarks: list[str]


def find_table(folder: Path) -> Path | None:
    """Return the table of a folder; None if it has none.

    Raises:
        BenchmarkError: a table has nearly the right name, such as `Clips.CSV` or `clips.tsv`.
    """
    if (folder / TABLE).is_file():
        return folder / TABLE
    near = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and entry.stem.lower() == "clips")
    if near := [name for name in near if not name.lower().endswith(SUFFIXES)]:
        raise BenchmarkError(f"{folder / near[0]}: a table must be named {TABLE} to be read; rename or remove it")
    return None


def parse_columns(text: str, separator: str | None) -> Columns:
    """Return `path=filename,label=category` as columns.

    Args:
        text: as on the command line.
        separator: between several labels of a clip; None for the usual one.

    Raises:
        BenchmarkError: not such a text, or an unknown key.
    """
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    values = {key.strip(): value.strip() for key, _, value in pairs}
    if any(not value for value in values.values()) or len(values) < len(pairs):
        raise BenchmarkError(f"columns '{text}': expected KEY=COLUMN,KEY=COLUMN with the keys {', '.join(NAMES)}")
    if separator is not None:
        values["separator"] = separator
    return validate(Columns, values, "columns")


def kept_columns(folder: Path) -> Columns:
    """Return what is kept beside the table of a folder; nothing is chosen if there is no such file.

    Raises:
        BenchmarkError: a mistake in the file.
    """
    kept = folder / COLUMNS
    return validate(Columns, read_yaml(kept), str(kept)) if kept.is_file() else Columns()


def read_table(folder: Path, chosen: Columns | None = None) -> Table:
    """Read the table of a folder.

    Args:
        folder: of the user's audio.
        chosen: which columns are which; None for those that are kept beside the table.

    Raises:
        BenchmarkError: a mistake in the table; the message names the line.
    """
    table = folder / TABLE
    chosen = chosen or kept_columns(folder)
    names, remarks = _choose_columns(table, chosen)
    if not is_utf(table):
        remarks.append(f"{TABLE} is not UTF-8 and was read as Windows text (cp1252): check names with accents")
    rows: Rows = [
        (place, {key: row[name] for key, name in names.items()})
        for place, row in read_rows(table, list(names.values()))
    ]
    if not rows:
        raise BenchmarkError(f"{table}: lists no clips")
    labels = _labels(table, rows, chosen)
    classes = tuple(sorted({label for of_row in labels.of_rows for label in of_row}))
    numbers = {label: number for number, label in enumerate(classes)}
    folds, of_folds = _folds(rows) if "fold" in names else ([None] * len(rows), [])
    clips: dict[str, Clip] = {}
    files = FileFinder(folder)
    for (place, row), of_row, fold in zip(rows, labels.of_rows, folds, strict=True):
        path = files.find(row["path"], place)
        if path in clips:
            raise BenchmarkError(f"{place}: {path} is listed twice")
        split = split_of(row["split"]) if "split" in names else None
        if "split" in names and split is None:
            raise BenchmarkError(f"{place}: split '{row['split']}' is not one of {', '.join(SPLITS)}")
        indices = tuple(sorted({numbers[label] for label in of_row}))
        clips[path] = Clip.at(folder, path, indices, fold=fold, split=split, place=place, group=row.get("group", ""))
    if "group" in names and chosen.group_pattern is not None:
        raise BenchmarkError(f"{table}: has a column of groups already; a pattern cannot state others")
    listed, of_groups = with_groups(
        [clips[path] for path in sorted(clips)],
        classes,
        chosen.group_pattern,
        table,
        deal=not {"fold", "split"} & names.keys(),
    )
    of_splits = check_split_names(str(table), (row["split"] for _, row in rows)) if "split" in names else []
    remarks += [*of_folds, *of_splits, *of_groups, *labels.remarks, *alike(classes)]
    return Table(listed, classes, remarks)


def _choose_columns(table: Path, chosen: Columns) -> tuple[dict[str, str], list[str]]:
    """Return the table's columns by what they hold, and remarks on names that are not the usual ones.

    Raises:
        BenchmarkError: a column is missing, or several could be meant.
    """
    present = column_names(table)
    found: dict[str, str] = {}
    divided = {"fold", "split"} & set(present)
    for key, known in NAMES.items():
        alike = [name for name in present if name.lower() in known]
        if divided and key in {"fold", "split"} - divided:
            alike = []  # the table has the other one by its usual name
        if name := getattr(chosen, key):
            found[key] = name
        elif key in present:
            found[key] = key
        elif len(alike) == 1:
            found[key] = alike[0]
        elif alike:
            raise BenchmarkError(
                f"{table}: the columns {' and '.join(map(repr, alike))} could both be the {key}: choose with "
                f"{_prepare(table, '--columns', f'{key}={alike[0]}')}"
            )
    there = f"there are: {', '.join(present)}"
    for key in ("path", "label"):
        if key not in found:
            raise BenchmarkError(
                f"{table}: column '{key}' is missing ({there}); name it with "
                f"{_prepare(table, '--columns', f'{key}=NAME')}"
            )
    if unknown := [name for name in found.values() if name not in present]:
        raise BenchmarkError(f"{table}: column '{unknown[0]}' is missing ({there})")
    if chosen.fold or chosen.split:  # the other one was not chosen
        found = {key: name for key, name in found.items() if key not in {"fold", "split"} or getattr(chosen, key)}
    is_grouped = "group" in found or chosen.group_pattern is not None
    if len(parted := found.keys() & {"fold", "split"}) > 1 or not (parted or is_grouped):
        raise BenchmarkError(
            f"{table}: needs a column 'fold' or a column 'split', but not both, or a column 'group' ({there}); name it "
            f"with {_prepare(table, '--columns', 'split=NAME')}"
        )
    renamed = [f"{name} as {key}" for key, name in found.items() if name != key]
    return found, [f"columns of {TABLE}: {', '.join(renamed)}"] if renamed else []


def _prepare(table: Path, *options: str) -> str:
    """Return the command that says how to read a table."""
    folder = table.parent
    return f"`{command('data', 'prepare', f'folder:{folder.name}', '--data-root', folder.parent, *options)}`"


def split_of(name: str) -> Split | None:
    """Return the split that a name in any case stands for; None if it stands for none."""
    return SPLIT_NAMES.get(name.strip().lower())


def check_split_names(where: str, names: Iterable[str]) -> list[str]:
    """Return a remark on names of splits that other corpora use for other splits.

    Args:
        where: the table or folder, for messages.
        names: of splits, as they are written.

    Raises:
        BenchmarkError: such a name and another one stand for the same split.
    """
    names = sorted({name.strip().lower() for name in names})
    remarks = []
    for name in UNSURE & set(names):
        others = [other for other in names if other not in UNSURE and split_of(other) == split_of(name)]
        if others:
            raise BenchmarkError(f"{where}: '{name}' and '{others[0]}' are both {split_of(name)} clips: rename one")
        remarks.append(f"'{name}' is read as {split_of(name)}")
    return sorted(remarks)


def _folds(rows: Rows) -> tuple[list[int | None], list[str]]:
    """Return the fold of each row, counted from 1, and a remark if the table counts from 0."""
    numbers = [
        one_of(place, "fold", re.sub(r"(?i)^fold[ _-]?", "", row["fold"]), range(MAX_FOLDS)) for place, row in rows
    ]
    if 0 in numbers:
        return [number + 1 for number in numbers], ["folds are counted from 1: fold 0 of the table is fold 1"]
    return list(numbers), []


def _labels(table: Path, rows: Rows, chosen: Columns) -> _Labels:
    """Return the labels of each row.

    Raises:
        BenchmarkError: a label is the mark of a missing value, or may be several labels.
    """
    separator = chosen.separator
    split = [[label.strip() for label in row["label"].split(separator or SEPARATOR)] for _, row in rows]
    of_rows = _one_form([[label for label in labels if label] for labels in split])
    for (place, _), labels in zip(rows, of_rows, strict=True):
        if lost := [label for label in labels if label.casefold() in MISSING and label not in chosen.names]:
            raise BenchmarkError(
                f"{place}: label '{lost[0]}' stands for a missing value; give the clip a label, or if it is the name "
                f'of a class, write `names: ["{lost[0]}"]` into {table.with_name(COLUMNS)}'
            )
    if separator is not None:
        return _Labels(of_rows, [f"labels are separated by '{separator}', as {COLUMNS} says"])
    return _Labels(of_rows, _check_separators(table, {label for labels in of_rows for label in labels}))


def _one_form(of_rows: list[list[str]]) -> list[list[str]]:
    """Write labels that differ only in their Unicode form, which look the same, in one form."""
    forms: dict[str, str] = {}
    return [[forms.setdefault(unicodedata.normalize("NFC", label), label) for label in labels] for labels in of_rows]


def _check_separators(table: Path, classes: set[str]) -> list[str]:
    """Return a remark on names with commas or semicolons.

    Raises:
        BenchmarkError: a part of such a name occurs elsewhere, so that the name may be several labels.
    """
    composed = sorted(name for name in classes if set(name) & set(SUSPECTS))
    holders: dict[str, set[str]] = defaultdict(set)
    for name in classes:
        for part in re.split(f"[{SUSPECTS}]", name):
            holders[part.strip()].add(name)
    shared = [name for name in composed if any(len(holders[p.strip()]) > 1 for p in re.split(f"[{SUSPECTS}]", name))]
    # a name such as `dog/bark` beside `dog/growl` is one label, `cat/dog` beside `cat` and `dog` may be two
    joined = [name for name in sorted(classes) if set(name) & set(JOINTS)]
    shared += [name for name in joined if {part.strip() for part in re.split(f"[{JOINTS}]", name)} <= classes]
    if shared:
        mark = next(mark for mark in SUSPECTS + JOINTS if mark in shared[0])
        raise BenchmarkError(
            f"{table}: label '{shared[0]}' may be one name or several labels: write several as a{SEPARATOR}b, or say "
            f"which with {_prepare(table, '--label-separator', mark)} (several) or '{SEPARATOR}' (one name)"
        )
    if not composed:
        return []
    return [f"{plural(len(composed), 'label')} with commas or semicolons are taken as one name each: '{composed[0]}'"]


def alike(classes: Sequence[str]) -> list[str]:
    """Return a remark on classes whose names differ only in case, blanks, hyphens, invisible letters, or `.0`."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        visible = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
        plain = re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", visible)).strip().casefold()
        spellings[re.sub(r"^([0-9]+)\.0+$", r"\1", plain)].append(name)
    return [
        f"the classes {' and '.join(map(repr, names))} differ only in spelling"
        for names in spellings.values()
        if names[1:]
    ]
