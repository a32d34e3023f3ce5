"""Read metadata files as people have them, with errors that name file and line."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.errors import BenchmarkError

UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
WINDOWS = "cp1252"  # how programs on Windows write tables unless asked for UTF-8
DELIMITERS = ",;\t"
NOT_CLASSES = {"__MACOSX", "$RECYCLE.BIN", "System Volume Information", "@eaDir", "lost+found", "__pycache__"}


def read_rows(table: Path, columns: Sequence[str], *, header: bool = True) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a table by column, each with its place (`FILE, line N`) for messages.

    Commas, semicolons or tabs separate the values; columns without a name, such as an index, are left out.

    Args:
        table: the file.
        columns: required columns; without a header, all columns in order.
        header: whether the first line names the columns.

    Raises:
        BenchmarkError: unreadable, or a column or value is missing, or a row has more values than columns.
    """
    text, first = _without_separator_line(read_text(table, WINDOWS))
    delimiter = _delimiter(text, columns) if header else ","
    reader = csv.DictReader(
        io.StringIO(text, newline=""), fieldnames=None if header else list(columns), delimiter=delimiter
    )
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        named = [name for name in names if name]
        if missing := set(columns) - set(named):
            raise BenchmarkError(f"{table}: column '{min(missing)}' is missing (there are: {', '.join(named)})")
        if len(set(named)) < len(named):
            raise BenchmarkError(f"{table}: has a column twice")
        reader.fieldnames = [name or f"\0{number}" for number, name in enumerate(names)]  # their own keys
        for row in reader:
            place = f"{table}, line {first + reader.line_num}"
            if any(row[name] is None for name in named):
                raise BenchmarkError(f"{place}: has too few values")
            if any(row.get(None, ())):  # DictReader's key of surplus values
                raise BenchmarkError(f"{place}: has more values than columns; quote values with commas, name an index")
            values = {name: row[name].strip() for name in named}
            if any(values.values()):  # spreadsheet programs end tables with rows of delimiters
                yield place, values
    except csv.Error as error:
        raise BenchmarkError(f"{table}: cannot be read: {error}") from None


def column_names(table: Path) -> list[str]:
    """Return the names of a table's columns, without unnamed ones.

    Raises:
        BenchmarkError: unreadable.
    """
    text, _ = _without_separator_line(read_text(table, WINDOWS))
    return [name for name in _header(text, _delimiter(text, ())) if name]


def _without_separator_line(text: str) -> tuple[str, int]:
    """Return a table without the line `sep=;` that Excel writes and reads, and the number of removed lines."""
    head, _, rest = text.partition("\n")
    return (rest, 1) if re.fullmatch(r'"?sep=.?"?', head.strip(), re.IGNORECASE) else (text, 0)


def _header(text: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])]


def _delimiter(text: str, columns: Sequence[str]) -> str:
    """Return the delimiter of a header: the one that gives the required columns, else the one that gives most."""
    return max(DELIMITERS, key=lambda delimiter: (set(columns) <= set(found := _header(text, delimiter)), len(found)))


def read_text(path: Path, fallback: str | None = None) -> str:
    """Return the text of a file in UTF-8 or, with a byte order mark, UTF-16.

    Args:
        path: the file.
        fallback: encoding of text that is not UTF-8; None to refuse it.

    Raises:
        BenchmarkError: unreadable.
    """
    try:
        data = path.read_bytes()
        if b"\0" in data and not data.startswith(UTF16_MARKS):
            raise BenchmarkError(f"{path}: cannot be read: is no text, or UTF-16 without its mark; save it as UTF-8")
        if data.startswith(UTF16_MARKS):
            return data.decode("utf-16").removeprefix("\ufeff")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            if fallback is None:
                raise
            return data.decode(fallback)
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path}: cannot be read: {error}") from None


def is_utf(path: Path) -> bool:
    """Return whether a file is UTF-8 or UTF-16: whether `read_text` needs no fallback."""
    try:
        read_text(path)
    except BenchmarkError:
        return False
    return True


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not empty.

    Raises:
        BenchmarkError: unreadable.
    """
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


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
    """Return the sorted names of the folders in a folder, except hidden ones and those of operating systems.

    Raises:
        BenchmarkError: the folder cannot be read.
    """
    try:
        names = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_dir()]
    except OSError as error:
        raise BenchmarkError(f"{folder}: cannot be read: {error.strerror}") from None
    return sorted(name for name in names if name not in NOT_CLASSES)


def one_of(place: str, column: str, value: str, numbers: range) -> int:
    """Return a value of a table as an integer within a range; `1.0`, as spreadsheets and pandas write it, is 1.

    Args:
        place: of the row, for messages.
        column: of the value, for messages.
        value: the text.
        numbers: allowed integers.

    Raises:
        BenchmarkError: the value is not an integer, or outside the range.
    """
    match = re.fullmatch(r"([0-9]{1,9})(?:\.0+)?", value)
    if not match or int(match[1]) not in numbers:
        raise BenchmarkError(f"{place}: {column} '{value}' is not one of {numbers[0]}..{numbers[-1]}")
    return int(match[1])
