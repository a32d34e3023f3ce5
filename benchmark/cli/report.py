"""`report`: tables and figures from records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, print_report


def report(
    results: options.ResultsFolder,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder to write.", show_default="RESULTS/report", rich_help_panel=options.FOLDERS),
    ] = None,
    paper: options.Papers = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Compare all methods with this one, too.",
            show_default="full fine-tuning only",
            rich_help_panel=options.CHOICE,
        ),
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Also one self-contained page, report.html.", rich_help_panel=options.OUTPUT)
    ] = False,
    json: options.Json = False,
) -> None:
    """Write tables (CSV, Markdown, LaTeX, JSON) and figures (PNG, PDF, SVG) from the records alone.

    Example: python -m benchmark report --results OUT
    """
    from benchmark.api.report import report as write_report

    written = write_report(results, output, paper=paper or (), against=against, html=html)
    if json:
        print_json(written.as_dict())
    else:
        print_report(written, results.absolute(), html=html)
