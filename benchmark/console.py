"""Messages and progress of long work, on a terminal and in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_EVERY_SECONDS = 10.0


def stderr_console() -> Console:
    """Return the console of API calls that were given none: plain text on stderr."""
    return Console(stderr=True, highlight=False)


def say(console: Console, text: str) -> None:
    """Print a line as it is: no markup, no colours, no line breaks within it."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


@contextmanager
def counting(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a progress callback (description, done, total).

    It draws a bar on a terminal; elsewhere it prints a line every ten seconds.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    last_line = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(description: str, done: int, total: int) -> None:
            nonlocal last_line
            if console.is_terminal:
                if description not in tasks:
                    tasks[description] = bars.add_task(description, total=total)
                bars.update(tasks[description], completed=done)
            elif time.monotonic() - last_line > LINE_EVERY_SECONDS:
                last_line = time.monotonic()
                console.print(f"{description}: {done} of {total}", highlight=False)

        yield show
