"""`merge`: join the results of several machines."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line
from benchmark.units import plural

DIFFERENT = 3  # exit code


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Results folders to join.")],
    results: Annotated[Path, typer.Option("--results", help="Results folder to join them into.")],
    json: options.Json = False,
) -> None:
    """Join results folders: records with the files beside them, failed attempts, profiles and lists of trials.

    Where two folders have different results of a trial, the first record stays in the tables. The other is written
    under `conflicts/`, and both are reported.

    Example: python -m benchmark merge FROM_A FROM_B --results OUT

    Exit code: 0 joined, 3 joined, but some trials have different results.
    """
    from benchmark.api.merge import merge as join

    merged = join(folders, results)
    if json:
        print_json(dataclasses.asdict(merged))
        raise typer.Exit(DIFFERENT if merged.gaps else 0)
    for gap in merged.gaps:
        say_line(f"different: {gap}")
    say_line(
        f"{plural(merged.records, 'record')} added, {merged.equal} were there already, {len(merged.gaps)} with "
        f"different results; {plural(merged.attempts, 'failed attempt')}, {plural(merged.profiles, 'profile')}; "
        f"results in {results}"
    )
    raise typer.Exit(DIFFERENT if merged.gaps else 0)
