"""Messages, tables and progress of long work, on a terminal and in a log file.

Only this module hands text to Rich, which reads markup and emoji in every string: names and paths of users have both.
Control characters in them are shown, not sent to the terminal.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)  # fmt: skip
from rich.table import Table
from rich.text import Text

from benchmark.progress import Progress as ProgressCallback

LINE_EVERY_SECONDS = 10.0
WIDTH = 100  # characters of a line, of text that is not for a terminal
GAP = 2  # characters between two columns
LONG_NAME = 32  # characters of a table's first column that are never folded
# control characters, what changes the direction of text, and bytes of file names that are no text; a line break is one
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Styled:
    """Text in a colour on a terminal.

    Attributes:
        text: the text.
        style: the colour, such as `red`; empty for none.
    """

    text: str
    style: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Sheet:
    """A table of text.

    Attributes:
        title: the heading; empty for none.
        columns: names of the columns: text, or a tuple of texts, which are shown one below the other.
        rows: values of each row: text, a number, `Styled`, or a tuple of them, which are shown one below the other.
    """

    title: str
    columns: Sequence[object]
    rows: Sequence[Sequence[object]]


Block = str | Styled | Sheet  # a line or a table


def printable(text: str, *, keep_lines: bool = False) -> str:
    r"""Return text with visible control characters: `\x1b` for an escape character, `\n` for a line break.

    Args:
        text: the text, such as a name that a user chose.
        keep_lines: leave line breaks and tabs as they are.
    """
    kept = "\n\t" if keep_lines else ""
    return CONTROL.sub(lambda found: found[0] if found[0] in kept else ascii(found[0])[1:-1], text)


def stderr_console() -> Console:
    """Return the console of API calls that were given none: plain text on stderr."""
    return Console(stderr=True, highlight=False)


def say(console: Console, text: str, *, mark: str = "") -> None:
    """Print a line as it is: no markup, no colours, no line breaks within it.

    Args:
        console: where to print.
        text: the line.
        mark: a word before the line that a terminal shows in red.
    """
    console.print(Text.assemble((mark, "red"), printable(text)), soft_wrap=True)


def say_table(console: Console, title: str, columns: Iterable[object], rows: Iterable[Iterable[object]]) -> None:
    """Print a table with a heading and an empty line after it; long names are folded, those of the first column not.

    Args:
        console: where to print.
        title: the heading; empty for none.
        columns: names of the columns, as in `Sheet`.
        rows: values of each row, as in `Sheet`.
    """
    names, shown = [_cell(name) for name in columns], [[_cell(value) for value in row] for row in rows]
    longest = max((len(row[0]) for row in shown if row), default=0)
    words = _longest_words(names)
    if not (is_wide_enough := _width(longest, words) <= console.width):
        parted = [_parted(name) for name in names]
        parts = _longest_words(parted)
        if is_wide_enough := _width(longest, parts) <= console.width:
            names, words = parted, parts
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for number, (name, longest_word) in enumerate(zip(names, words, strict=True)):
        never_folded = number == 0 and longest <= LONG_NAME
        min_width = longest_word if is_wide_enough else None
        table.add_column(name, overflow="fold", no_wrap=never_folded, min_width=min_width)
    for cells in shown:
        table.add_row(*cells)
    if title:
        console.print(Text(printable(title), "bold"), soft_wrap=True)
    console.print(table, "", soft_wrap=False)


def _longest_words(names: Sequence[Text]) -> list[int]:
    return [max(map(len, name.plain.split()), default=0) for name in names]


def _width(first: int, words: Sequence[int]) -> int:
    """Return the width of a table whose first column is so wide, and the others as wide as these words."""
    return sum(words[1:], max([first, *words[:1]])) + GAP * (len(words) - 1)


def _parted(name: Text) -> Text:
    """Break the long words of a name of a column where they have parts: `OpenMIC-2018`, `UrbanSound8K`."""
    return Text(re.sub(r"\w{5,}-(?=\w)|[A-Z][a-z]{3,}(?=[A-Z][a-z]{3})", r"\g<0>\n", name.plain), name.style)


def _cell(value: object) -> Text:
    if isinstance(value, tuple):
        return Text("\n").join(map(_cell, value))
    return Text(printable(str(value)), value.style if isinstance(value, Styled) else "")


def show(console: Console, blocks: Iterable[Block]) -> None:
    """Print lines and tables.

    Args:
        console: where to print.
        blocks: the lines, as `say` prints them, and the tables.
    """
    for block in blocks:
        if isinstance(block, Sheet):
            say_table(console, block.title, block.columns, block.rows)
        elif isinstance(block, Styled):
            console.print(_cell(block), soft_wrap=True)
        else:
            say(console, block)


def as_text(blocks: Iterable[Block], width: int = WIDTH) -> str:
    """Return lines and tables as plain text without a line break at the end.

    Args:
        blocks: the lines and tables.
        width: characters of a line of a table.
    """
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, highlight=False)
    show(console, blocks)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()).rstrip()


def text_grid(rows: Iterable[Iterable[str | RenderableType]]) -> Table:
    """Return rows of text, or of other things that Rich can show, in columns without lines."""
    grid = Table.grid(padding=(0, 2))
    for row in rows:
        grid.add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in row))
    return grid


def bars(
    console: Console, count: ProgressColumn, *, only_while_running: bool = False, hidden: bool = False
) -> Progress:
    """Return Rich's progress bars, with a description before and the time left after each.

    Args:
        console: where they are drawn.
        count: column that says how much is done.
        only_while_running: remove them at the end.
        hidden: draw nothing.
    """
    description = TextColumn("{task.description}", markup=False)
    columns = (description, BarColumn(), count, TimeRemainingColumn())
    return Progress(*columns, console=console, transient=only_while_running, disable=hidden)


@contextmanager
def counting(console: Console) -> Iterator[ProgressCallback]:
    """Yield a progress callback (description, done, total).

    It draws a bar on a terminal; elsewhere it prints a line every ten seconds.
    """
    last_line, hidden = time.monotonic(), not console.is_terminal
    with bars(console, MofNCompleteColumn(), only_while_running=True, hidden=hidden) as drawn:
        tasks: dict[str, TaskID] = {}

        def show(description: str, done: int, total: int) -> None:
            nonlocal last_line
            if console.is_terminal:
                if description not in tasks:
                    tasks[description] = drawn.add_task(printable(description), total=total)
                drawn.update(tasks[description], completed=done)
            elif time.monotonic() - last_line > LINE_EVERY_SECONDS:
                last_line = time.monotonic()
                say(console, f"{description}: {done} of {total}")

        yield show
