"""`parity`: numbers of this suite compared with those of the official implementations."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line
from benchmark.units import plural


def parity(
    file: Annotated[Path, typer.Argument(help="File in the golden format, e.g. tests/golden/golden.json.")],
    only: Annotated[str, typer.Option(help="Only cases whose name contains this.")] = "",
    json: options.Json = False,
) -> None:
    """Run every case of a golden file and print the largest absolute errors; exit code 1 if one fails.

    Example: python -m benchmark parity tests/golden/golden.json --only tiny
    """
    from benchmark.tools.parity.run import run_parity

    outcomes = []
    for outcome in run_parity(file, only):
        outcomes.append(outcome)
        if not json:
            say_line(outcome.line())
    total, failed = len(outcomes), sum(not outcome.passed for outcome in outcomes)
    if json:
        print_json([{**dataclasses.asdict(outcome), "passed": outcome.passed} for outcome in outcomes])
    else:
        say_line(f"{plural(total, 'case')}: {total - failed} passed, {failed} failed")
    raise typer.Exit(1 if failed or not total else 0)
