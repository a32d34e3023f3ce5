"""`report`: tables and figures from records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.claims import PaperFile

if TYPE_CHECKING:
    from benchmark.records.store import ResultStore


def report(
    results: Annotated[Path, typer.Option("--results", help="Results folder.")],
    output: Annotated[Path | None, typer.Option(help="Where to write.", show_default="RESULTS/report")] = None,
    paper: PaperFile = None,
    html: Annotated[bool, typer.Option("--html", help="Also one self-contained page, report.html.")] = False,
) -> None:
    """Rebuild tables (CSV, Markdown, LaTeX, JSON) and figures (PNG, PDF, SVG) from the records alone.

    Example: python -m benchmark report --results OUT
    """
    from benchmark.records.store import ResultStore

    print_report(ResultStore(results), output, paper, html=html)


def print_report(store: ResultStore, output: Path | None, paper: Path | None = None, *, html: bool = False) -> None:
    """Write the report, print the main table and where the files are."""
    from shlex import join

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from benchmark.report.render import INDEX
    from benchmark.report.write import build_report

    built = build_report(store, output, paper, html=html)
    console = Console(highlight=False, soft_wrap=True)
    for (protocol, backbone), rows in built.results.groupby(["protocol", "backbone"], sort=False):
        shown = rows.drop(columns=["protocol", "backbone"])
        title = escape(f"Score (%), {backbone}, protocol {protocol}")
        table = Table(title=title, title_justify="left", padding=(0, 1, 0, 0), show_edge=False)
        for name in shown.columns:
            table.add_column(name, overflow="fold", no_wrap=name == "method")
        for row in shown.itertuples(index=False):
            table.add_row(*(escape(str(value)) for value in row))
        console.print(table, "")
    if built.warnings:
        console.print(f"Not comparable with the paper: {'; '.join(built.warnings)}.", markup=False)
    console.print(f"report: {built.paths[0].parent}", markup=False)
    where = f"--results {store.folder}"
    if not html:
        console.print(f"one page with all of it: python -m benchmark report --html {where}", markup=False)
    for first in built.results.head(1).to_dict("records"):
        method = first["method"].partition(" (")[0]  # without what tells it from others of its name
        cell = join([first["backbone"], built.results.columns[len(INDEX)], method])
        console.print(f"what stands behind a number: python -m benchmark explain {cell} {where}", markup=False)
