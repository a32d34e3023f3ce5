"""`merge`: join results of several machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DIFFERENT = 3


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Results folders to join.")],
    results: Annotated[Path, typer.Option("--results", help="Results folder to join them into.")],
) -> None:
    """Join results folders: records with what lies beside them, failed tries, profiles and lists of trials.

    A trial that two folders have with different results keeps its first record in the tables; the other is put under
    `conflicts/`, and both are told.

    Example: python -m benchmark merge FROM_A FROM_B --results OUT

    Exit code: 0 joined, 3 joined, but some trials have different results.
    """
    from benchmark.records.merge import merge as join

    found = join(folders, results)
    for gap in found.gaps:
        typer.echo(f"different: {gap}")
    typer.echo(
        f"{found.records} records added, {found.equal} were there already, {len(found.gaps)} with different results; "
        f"{found.attempts} failed tries, {found.profiles} profiles; results in {results}"
    )
    raise typer.Exit(DIFFERENT if found.gaps else 0)
