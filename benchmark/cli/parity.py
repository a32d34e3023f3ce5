"""`parity`: numbers of this suite compared with those of the official implementations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def parity(
    file: Annotated[Path, typer.Argument(help="File in the golden format, e.g. tests/golden/golden.json.")],
    only: Annotated[str, typer.Option(help="Only cases whose name contains this.")] = "",
) -> None:
    """Run every case of a golden file and print the largest absolute errors; exit code 1 if one fails.

    Example: python -m benchmark parity tests/golden/golden.json --only tiny
    """
    from benchmark.tools.parity.run import run_parity

    total = failed = 0
    for outcome in run_parity(file, only):
        typer.echo(outcome.line())
        total += 1
        failed += not outcome.passed
    typer.echo(f"{total} cases: {total - failed} passed, {failed} failed")
    raise typer.Exit(1 if failed or not total else 0)
