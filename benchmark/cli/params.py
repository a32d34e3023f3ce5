"""`params`: parameter counts of a grid."""

from __future__ import annotations

import csv
import sys
from typing import Annotated, Literal

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json


def params(
    grid: options.GridName,
    method: options.Methods = [],
    dataset: options.Datasets = [],
    backbone: options.Backbones = [],
    settings: options.Settings = [],
    style: Annotated[Literal["csv", "markdown", "json"], typer.Option("--format", help="Output format.")] = "markdown",
) -> None:
    """Print total and trainable parameters of every backbone, dataset and method; no data or weights needed.

    Columns `*_incl_deit_heads` count as the reference does, with two ImageNet heads that it carries and never uses;
    columns `*_excl_deit_heads` count the model that is run.

    Example: python -m benchmark params --grid paper --format csv
    """
    from benchmark.api.params import params as count
    from benchmark.tools.params import COLUMNS

    rows = count(grid, methods=method, datasets=dataset, backbones=backbone, settings=settings)
    if style == "csv":
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
    elif style == "json":
        print_json(list(rows))
    else:
        from tabulate import tabulate

        typer.echo(tabulate(list(rows), headers="keys", tablefmt="github", disable_numparse=True))
