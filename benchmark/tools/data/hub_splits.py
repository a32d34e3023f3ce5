"""Which rows of a repository are for training, validation and testing, or in which fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.data.datasets.hub import HubChoice
from benchmark.data.datasets.own_table import check_split_names, split_of
from benchmark.data.manifest import Split
from benchmark.errors import BenchmarkError
from benchmark.tools.data.hub_columns import Columns, Row, require_column

if TYPE_CHECKING:
    import datasets

Unit = tuple[Split | None, int | None]
MOST_FOLDS = 100  # that have names instead of numbers


@dataclass(frozen=True)
class Part:
    """Rows of one of the repository's splits.

    Attributes:
        name: of the split.
        rows: with the columns that are needed.
        unit: returns split and fold of a row; the first argument names the row in messages.
    """

    name: str
    rows: datasets.Dataset
    unit: Callable[[str, Row], Unit]


def choose_parts(
    choice: HubChoice, splits: Mapping[str, datasets.Dataset], columns: Columns
) -> tuple[list[Part], list[str]]:
    """Return the rows in use, and remarks on what was decided.

    By options: a column of folds, a column of splits, or the repository's splits by name. Without: its splits by their
    usual names; a single split is dealt to five folds, as own audio is.

    Args:
        choice: the dataset and its options.
        splits: rows by the repository's split.
        columns: which columns hold what.

    Raises:
        BenchmarkError: no training or test clips, or an unknown split, column or value.
    """
    option = choice.options.split
    if name := choice.options.fold:
        return _by_column(choice, splits, columns, name, *_folds(choice, splits, name))
    if isinstance(option, str):
        return _by_column(choice, splits, columns, option, *_splits(choice, splits, option))
    if option is not None:
        wanted = {ours: (theirs,) if isinstance(theirs, str) else theirs for ours, theirs in option.items()}
        return _by_name(choice, splits, columns, wanted)
    if len(splits) == 1:
        [(name, rows)] = splits.items()
        remark = f"there is one split ('{name}'): its clips are dealt to five folds"
        return [Part(name, columns.rows(rows), lambda _, __: (None, None))], [remark]
    usual: dict[Split, tuple[str, ...]] = {}
    for name in splits:
        if split := split_of(name):
            usual[split] = (*usual.get(split, ()), name)
    there = ", ".join(splits)
    if twice := [names for names in usual.values() if names[1:]]:
        raise BenchmarkError(
            f"{choice.name}: the splits {' and '.join(twice[0])} have similar names; choose with {_example(there)}"
        )
    if not {"train", "test"} <= usual.keys():
        raise BenchmarkError(
            f"{choice.name}: has no splits for train and test (there: {there}); say which with {_example()}"
        )
    parts, remarks = _by_name(choice, splits, columns, usual)
    return parts, [*remarks, *check_split_names(choice.name, splits)]


def _example(there: str = "") -> str:
    hint = f" (there: {there})" if there else ""
    return f"split={{train: A, test: B}}{hint}"


def _by_name(
    choice: HubChoice,
    splits: Mapping[str, datasets.Dataset],
    columns: Columns,
    wanted: Mapping[Split, tuple[str, ...]],
) -> tuple[list[Part], list[str]]:
    parts = []
    for ours, names in wanted.items():
        for name in names:
            if name not in splits:
                raise BenchmarkError(f"{choice.name}: no split '{name}' (there: {', '.join(splits)})")
            parts.append(Part(name, columns.rows(splits[name]), lambda _, __, ours=ours: (ours, None)))  # type: ignore[misc]
    used = [part.name for part in parts]
    if twice := {name for name in used if used.count(name) > 1}:
        raise BenchmarkError(f"{choice.name}: split '{min(twice)}' is used twice: its clips would be in two splits")
    left = [name for name in splits if name not in used]
    return parts, [f"the repository's {' and '.join(left)} {'are' if left[1:] else 'is'} not used"] if left else []


def _by_column(
    choice: HubChoice,
    splits: Mapping[str, datasets.Dataset],
    columns: Columns,
    column: str,
    units: Mapping[Any, Unit],
    remarks: list[str],
) -> tuple[list[Part], list[str]]:
    """Return all rows, each in the split or fold that its value in a column stands for."""

    def unit(place: str, row: Row) -> Unit:
        if row[column] not in units:
            raise BenchmarkError(f"{place}: has no {column} ({row[column]!r})")
        return units[row[column]]

    return [Part(name, columns.rows(rows, (column,)), unit) for name, rows in splits.items()], remarks


def _values(choice: HubChoice, splits: Mapping[str, datasets.Dataset], column: str) -> dict[Any, str]:
    """Return the values of a column as text, by how they are stored."""
    found: dict[Any, str] = {}
    for rows in splits.values():
        require_column(choice, column, rows.features)
        names = getattr(rows.features[column], "names", None)
        for value in rows.unique(column):
            if value is not None:
                found[value] = names[value] if names else str(value)
    return found


def _folds(choice: HubChoice, splits: Mapping[str, datasets.Dataset], column: str) -> tuple[dict[Any, Unit], list[str]]:
    """Return the fold of every value of a column, and remarks."""
    values = _values(choice, splits, column)
    if all(text.isdecimal() for text in values.values()):
        first = 1 if "0" in values.values() else 0
        remarks = [f"folds are counted from 1: {column} 0 is fold 1"] if first else []
        return {value: (None, int(text) + first) for value, text in values.items()}, remarks
    numbers = {text: number for number, text in enumerate(sorted(set(values.values())), start=1)}
    if len(numbers) > MOST_FOLDS:
        raise BenchmarkError(f"{choice.name}: column '{column}' has {len(numbers)} values, too many for folds")
    remark = f"folds by {column}: {', '.join(f'{text} is fold {number}' for text, number in numbers.items())}"
    return {value: (None, numbers[text]) for value, text in values.items()}, [remark]


def _splits(
    choice: HubChoice, splits: Mapping[str, datasets.Dataset], column: str
) -> tuple[dict[Any, Unit], list[str]]:
    """Return the split of every value of a column, and remarks."""
    values = _values(choice, splits, column)
    found = {value: split_of(text) for value, text in values.items()}
    if unknown := [values[value] for value, split in found.items() if split is None]:
        raise BenchmarkError(f"{choice.name}: column '{column}': '{unknown[0]}' is not train, validation or test")
    return {value: (split, None) for value, split in found.items()}, check_split_names(choice.name, values.values())
