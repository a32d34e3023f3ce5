"""`board`: static pages of a results store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line


def board(
    store: Annotated[Path, typer.Argument(help="Folder of the results store.", metavar="STORE")],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder to write: a new one, or an earlier board, which it replaces.", rich_help_panel=options.FOLDERS
        ),
    ],
    url: Annotated[
        str | None,
        typer.Option(
            help="Address where the site will be, for canonical links and the site map.",
            show_default="no such links",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    records_url: Annotated[
        str | None,
        typer.Option(
            "--records-url",
            help="Address of the store's folder, which numbers link to.",
            show_default="records are copied into the site",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    paper: options.Papers = None,
    json: options.Json = False,
) -> None:
    """Write the board of a results store: static pages with rankings, methods, claims and all records.

    Example: python -m benchmark board STORE --out SITE
    """
    from benchmark.api.board import board as build
    from benchmark.units import plural

    built = build(store, out, url=url, records_url=records_url, paper=paper or ())
    if json:
        print_json(built.as_dict())
        return
    say_line(
        f"{plural(built.pages, 'page')} of {plural(built.records, 'record')} and "
        f"{plural(built.submitters, 'submitter')}: {built.folder / 'index.html'}"
    )
    if built.marks:
        say_line(f"No result is comparable with a paper ({'; '.join(built.marks)}); every page says so.")
