"""Progress of long work, on a terminal and in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_EVERY_SECONDS = 10.0


@contextmanager
def counting(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A function to tell what is done, and how many of how many: a bar on a terminal, now and then a line elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    last = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, number: int, total: int) -> None:
            nonlocal last
            if console.is_terminal:
                if what not in tasks:
                    tasks[what] = bars.add_task(what, total=total)
                bars.update(tasks[what], completed=number)
            elif time.monotonic() - last > LINE_EVERY_SECONDS:
                last = time.monotonic()
                console.print(f"{what}: {number} of {total}", highlight=False)

        yield tell
