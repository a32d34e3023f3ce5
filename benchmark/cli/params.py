"""`params`: parameter counts of a grid."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, stdout_console
from benchmark.console import Sheet, show
from benchmark.units import quantity


def params(
    grid: options.GridName,
    method: options.Methods = [],
    dataset: options.Datasets = [],
    backbone: options.Backbones = [],
    settings: options.Settings = [],
    style: Annotated[
        Literal["text", "csv", "markdown", "json"],
        typer.Option("--format", help="Output format; all but text are exact.", rich_help_panel=options.OUTPUT),
    ] = "text",
    json: options.Json = False,
) -> None:
    """Print total and trainable parameters of every backbone, dataset and method; no data or weights needed.

    As text: the trained parameters of the model that is run, head included, and their share. Otherwise, columns
    `*_incl_deit_heads` count as the reference does, with two ImageNet heads that it carries and never uses; columns
    `*_excl_deit_heads` count the model that is run.

    Example: python -m benchmark params --grid paper

    Example: python -m benchmark params --grid paper --format csv
    """
    from benchmark.api.params import params as count
    from benchmark.tools.params import COLUMNS

    rows = count(grid, methods=method, datasets=dataset, backbones=backbone, settings=settings)
    if style == "csv" and not json:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
    elif style == "json" or json:
        print_json(list(rows))
    elif style == "markdown":
        from tabulate import tabulate

        typer.echo(tabulate(list(rows), headers="keys", tablefmt="github", disable_numparse=True))
    else:
        show(stdout_console(), _sheets(list(rows)))


def _sheets(rows: list[dict[str, Any]]) -> Iterator[Sheet]:
    """Yield a table for each backbone: a row per method, a column per dataset."""
    from benchmark.api.trial_matrix import known_names

    names = known_names()
    for backbone in dict.fromkeys(row["backbone"] for row in rows):
        found = {(row["method"], row["dataset"]): row for row in rows if row["backbone"] == backbone}
        methods, datasets = (list(dict.fromkeys(key[place] for key in found)) for place in (0, 1))
        yield Sheet(
            f"Trained parameters, {names.backbone(backbone)}",
            ["method", *(tuple(names.dataset(name).split()) for name in datasets)],
            [[method, *(_count(found.get((method, name))) for name in datasets)] for method in methods],
        )


def _count(row: dict[str, Any] | None) -> object:
    if row is None:
        return ""
    return quantity(row["trainable_excl_deit_heads"], ""), f"{float(row['pct_trainable_of_total_excl']):.3g} %"
