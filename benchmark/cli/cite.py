"""`cite`: BibTeX of what a results folder uses."""

from __future__ import annotations

import typer

from benchmark.cli import options
from benchmark.console import printable


def cite(results: options.ResultsFolder) -> None:
    """Print BibTeX of the suite, the paper, and every dataset, backbone, method and other paper in a results folder.

    Example: python -m benchmark cite --results OUT
    """
    from benchmark.api.cite import cite as cite_results

    typer.echo(printable(cite_results(results), keep_lines=True))
