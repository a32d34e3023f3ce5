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


def print_json(content: Any) -> None:
    """Print plain data as JSON; what JSON does not know is printed as text."""
    typer.echo(json.dumps(content, indent=1, default=str))


def print_report(report: Report, results: Path, *, html: bool = False) -> None:
    """Print the main table of a report, where its files are, and the commands that show more.

    Args:
        report: the report.
        results: the results folder, which the commands name.
        html: whether the page was written too.
    """
    from shlex import join

    from rich.markup import escape
    from rich.table import Table

    console = stdout_console(soft_wrap=True)
    for (protocol, backbone), rows in report.results.groupby(["protocol", "backbone"], sort=False):
        shown = rows.drop(columns=["protocol", "backbone"])
        title = escape(f"Score (%), {backbone}, protocol {protocol}")
        table = Table(title=title, title_justify="left", padding=(0, 1, 0, 0), show_edge=False)
        for name in shown.columns:
            table.add_column(name, overflow="fold", no_wrap=name == "method")
        for row in shown.itertuples(index=False):
            table.add_row(*(escape(str(value)) for value in row))
        console.print(table, "")
    if report.warnings:
        console.print(f"Not comparable with the paper: {'; '.join(report.warnings)}.", markup=False)
    console.print(f"report: {report.paths[0].parent}", markup=False)
    where = f"--results {results}"
    if not html:
        console.print(f"one page with all of it: python -m benchmark report --html {where}", markup=False)
    for first in report.results.head(1).to_dict("records"):
        method = first["method"].partition(" (")[0]  # without the note that distinguishes equal names
        dataset = next(name for name in report.results.columns if name not in {"protocol", "backbone", "method"})
        cell = join([first["backbone"], dataset, method])
        console.print(f"provenance of a number: python -m benchmark explain {cell} {where}", markup=False)
