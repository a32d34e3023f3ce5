"""`cite`: BibTeX of what a results folder uses."""

from __future__ import annotations

import dataclasses

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json
from benchmark.console import printable


def cite(results: options.ResultsFolder, json: options.Json = False) -> None:
    """Print BibTeX of the suite, the paper, and every dataset, backbone, method and other paper in a results folder.

    Example: python -m benchmark cite --results OUT
    """
    from benchmark.api.cite import citations

    found = citations(results)
    if json:
        print_json(dataclasses.asdict(found))
    else:
        typer.echo(printable(str(found), keep_lines=True))
