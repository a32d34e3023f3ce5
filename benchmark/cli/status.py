"""`status`: where a results folder stands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, stdout_console

if TYPE_CHECKING:
    from rich.console import Group

WATCH_SECONDS = 2.0


def status(
    results: options.ResultsFolder,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show what is running and its progress, until all is done or Ctrl-C.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Print the trials that were submitted to a results folder, and which are running, done, stale, failed, missing.

    Example: python -m benchmark status --results OUT --watch
    """
    from benchmark.api.status import status as read_status

    if watch:
        _watch(results)
        return
    found = read_status(results)
    if json:
        print_json(found.as_dict())
    else:
        typer.echo(found)


def _watch(results: Path) -> None:
    """Show the running trials until nothing is missing or running."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from benchmark.api.status import status as read_status

    def render() -> tuple[Group, bool]:
        found = read_status(results)
        return Group(*map(Text, found.lines(only_running=True))), found.is_over

    shown, is_over = render()
    try:
        with Live(shown, console=stdout_console(), auto_refresh=False) as live:
            while not is_over:
                time.sleep(WATCH_SECONDS)
                shown, is_over = render()
                live.update(shown, refresh=True)
    except KeyboardInterrupt:  # the usual way to end watching
        return
