"""`clean`: remove the files that no record needs."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line
from benchmark.units import data_size


def clean(
    results: options.ResultsFolder,
    predictions: Annotated[
        bool,
        typer.Option("--predictions", help="Also keep only the predictions of reported epochs, as `submit` does."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
    json: options.Json = False,
) -> None:
    """Remove resume states and failed attempts of finished trials, and leftovers of killed processes.

    Records, predictions, kept weights, and resume states of unfinished trials stay. `--predictions` makes the files of
    predictions smaller, to publish a folder: tables, claims and figures stay the same.

    Example: python -m benchmark clean --results OUT --dry-run
    """
    from benchmark.api.clean import clean as clean_results

    sizes: dict[str, list[int]] = defaultdict(list)
    leftovers = list(clean_results(results, predictions=predictions, dry_run=dry_run))
    for leftover in leftovers:
        sizes[leftover.reason].append(leftover.size)
    total = sum(leftover.size for leftover in leftovers)
    if json:
        found = [{"path": leftover.path, "size": leftover.size, "reason": leftover.reason} for leftover in leftovers]
        print_json({"results": str(results), "removed": not dry_run, "bytes": total, "leftovers": found})
        return
    for reason, group in sizes.items():
        typer.echo(f"{len(group)} x {reason}: {data_size(sum(group))}")
    say_line(f"{'would remove' if dry_run else 'removed'} {data_size(total)} from {results}")
