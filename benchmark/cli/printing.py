"""Output that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.report.write import Report


def stdout_console(*, soft_wrap: bool = False) -> Console:
    """Return the console for what a command prints.

    Args:
        soft_wrap: never break a line, however narrow the terminal is.
    """
    from rich.console import Console

    return Console(highlight=False, soft_wrap=soft_wrap)


def stderr_console() -> Console:
    """Return the console for progress, which must not mix with what a command prints."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say_line(text: str) -> None:
    """Print a line with names or paths of the user: without markup, with visible control characters, never broken."""
    from benchmark.console import printable

    typer.echo(printable(text))


def print_json(content: Any) -> None:
    """Print plain data as JSON; what JSON does not know is printed as text."""
    typer.echo(json.dumps(content, indent=1, default=str))


def print_report(report: Report, results: Path, *, html: bool = False) -> None:
    """Print the main table of a report, the best methods, and the commands that show more.

    Args:
        report: the report.
        results: the results folder, which the commands name.
        html: whether the page was written too.
    """
    from benchmark.commands import command
    from benchmark.console import say, say_table, show

    console = stdout_console()
    for (protocol, backbone), rows in report.results.groupby(["protocol", "backbone"], sort=False):
        shown = rows.drop(columns=["protocol", "backbone"])
        title = f"Score (%), {backbone}, protocol {protocol}"
        say_table(console, title, shown.columns, shown.itertuples(index=False))
    show(console, report.blocks())
    if report.warnings:
        say(console, f"Not comparable with the paper: {'; '.join(report.warnings)}.")
    if report.time:
        say(console, report.time)
    where = ["--results", results]
    say(console, f"report: {report.paths[0].parent}")
    if not html:
        say(console, f"one page with all of it: {command('report', '--html', *where)}")
    if report.first:
        say(console, f"which claims of the paper hold: {command('claims', *where)}")
        say(console, f"provenance of a number: {command('explain', *report.first, *where)}")
