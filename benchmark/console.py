"""Messages, tables and progress of long work, on a terminal and in a log file.

Only this module hands text to Rich, which reads markup and emoji in every string: names and paths of users have both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

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

LINE_EVERY_SECONDS = 10.0


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
    console.print(Text.assemble((mark, "red"), text), soft_wrap=True)


def say_table(console: Console, title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table with a heading and an empty line after it; long names are folded, those of the first column not.

    Args:
        console: where to print.
        title: the heading.
        columns: names of the columns.
        rows: values of each row.
    """
    table = Table(title=Text(title, "table.title"), title_justify="left", padding=(0, 1, 0, 0), show_edge=False)
    for number, name in enumerate(columns):
        longest_word = max(map(len, name.split()), default=0)
        table.add_column(Text(name), overflow="fold", no_wrap=number == 0, min_width=longest_word)
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row))
    console.print(table, "")


def text_grid(rows: Iterable[Iterable[str | RenderableType]]) -> Table:
    """Return rows of text, or of other things that Rich can show, in columns without lines."""
    grid = Table.grid(padding=(0, 2))
    for row in rows:
        grid.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
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
def counting(console: Console) -> Iterator[Callable[[str, int, int], None]]:
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
                    tasks[description] = drawn.add_task(description, total=total)
                drawn.update(tasks[description], completed=done)
            elif time.monotonic() - last_line > LINE_EVERY_SECONDS:
                last_line = time.monotonic()
                say(console, f"{description}: {done} of {total}")

        yield show
