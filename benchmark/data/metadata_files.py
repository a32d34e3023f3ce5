"""Read metadata files, with errors that name file and line."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.errors import BenchmarkError


def read_rows(table: Path, columns: Sequence[str], *, header: bool = True) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a CSV file by column, each with its place (`FILE, line N`) for messages.

    Args:
        table: the file.
        columns: required columns; without a header, all columns in order.
        header: whether the first line names the columns.

    Raises:
        BenchmarkError: unreadable, or a column or value is missing.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as handle:  # spreadsheet programs write a byte order mark
            reader = csv.DictReader(handle, fieldnames=None if header else list(columns))
            names = [name.strip() for name in reader.fieldnames or ()]
            if missing := set(columns) - set(names):
                raise BenchmarkError(f"{table}: column '{min(missing)}' is missing (there are: {', '.join(names)})")
            if len(set(names)) < len(names):
                raise BenchmarkError(f"{table}: has a column twice")
            reader.fieldnames = names
            for row in reader:
                place = f"{table}, line {reader.line_num}"
                if any(row[name] is None for name in names):
                    raise BenchmarkError(f"{place}: has too few values")
                yield place, {name: row[name].strip() for name in names}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchmarkError(f"{table}: cannot be read: {error}") from None


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not empty.

    Raises:
        BenchmarkError: unreadable.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path}: cannot be read: {error}") from None


def file_names(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Return the sorted names of a folder's files with one of the suffixes (any case), without hidden files.

    Raises:
        BenchmarkError: the folder or an entry cannot be read, or a name is not UTF-8.
    """
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name.lower().endswith(suffixes)]
        names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()]
    except OSError as error:
        raise BenchmarkError(f"{error.filename or folder}: cannot be read: {error.strerror}") from None
    for name in names:
        if not name.isprintable():  # bytes that are not UTF-8 are not printable either
            raise BenchmarkError(f"{folder}: the file name {name!r} is not plain UTF-8; rename the file")
    return sorted(names)


def folder_names(folder: Path) -> list[str]:
    """Return the sorted names of the folders in a folder, except those that begin with `.` or `_`."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] not in "._")


def one_of(place: str, column: str, value: str, numbers: range) -> int:
    """Return a value of a table as an integer within a range.

    Args:
        place: of the row, for messages.
        column: of the value, for messages.
        value: the text.
        numbers: allowed integers.

    Raises:
        BenchmarkError: the value is not an integer, or outside the range.
    """
    if not re.fullmatch("[0-9]{1,9}", value) or int(value) not in numbers:
        raise BenchmarkError(f"{place}: {column} '{value}' is not one of {numbers[0]}..{numbers[-1]}")
    return int(value)
