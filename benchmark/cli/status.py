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
        bool,
        typer.Option(
            "--watch",
            help="Show what is running and its progress, until all is done or Ctrl-C.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    trials: options.Trials = False,
    json: options.Json = False,
) -> None:
    """Print how many trials of a results folder are done, running, stale, failed and missing, and what failed why.

    Example: python -m benchmark status --results OUT --watch
    """
    from benchmark.api.status import status as read_status
    from benchmark.console import show

    if watch:
        _watch(results)
        return
    found = read_status(results)
    if json:
        print_json(found.as_dict())
    else:
        show(stdout_console(), found.blocks(trials=trials))


def _watch(results: Path) -> None:
    """Show the running trials until nothing is missing or running."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from benchmark.api.status import status as read_status
    from benchmark.console import as_text

    def render() -> tuple[Group, bool]:
        found = read_status(results)
        lines = as_text([*found.running_lines(), found.counts()])
        return Group(*map(Text, lines.splitlines())), found.is_over

    shown, is_over = render()
    try:
        with Live(shown, console=stdout_console(), auto_refresh=False) as live:
            while not is_over:
                time.sleep(WATCH_SECONDS)
                shown, is_over = render()
                live.update(shown, refresh=True)
    except KeyboardInterrupt:  # the usual way to end watching
        return
