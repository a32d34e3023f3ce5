"""`params`: parameter counts of a grid."""

from __future__ import annotations

import csv
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options


class Format(StrEnum):
    """How the counts are printed."""

    CSV = "csv"
    MARKDOWN = "markdown"
    JSON = "json"


def params(
    grid: options.GridName,
    method: options.Methods = [],
    dataset: options.Datasets = [],
    backbone: options.Backbones = [],
    settings: options.Settings = [],
    style: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.MARKDOWN,
) -> None:
    """Print total and trainable parameters of every backbone, dataset and method; no data or weights needed.

    Columns `*_incl_deit_heads` count as the reference does, with two ImageNet heads that it carries and never uses;
    columns `*_excl_deit_heads` count the model that is run.

    Example: python -m benchmark params --grid paper --format csv
    """
    from benchmark.tools.params import COLUMNS, parameter_rows

    chosen = options.select(grid, Path(), None, None, method, dataset, backbone, [], [], settings, None)
    rows = parameter_rows(chosen.expand().requests)
    if style is Format.CSV:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
    elif style is Format.JSON:
        typer.echo(json.dumps(list(rows), indent=1))
    else:
        from tabulate import tabulate

        typer.echo(tabulate(list(rows), headers="keys", tablefmt="github", disable_numparse=True))
