"""`check`: whether a method keeps the contract."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, stderr_console, stdout_console

SOME_FAILED = 1  # exit code


def check(
    method: Annotated[str, typer.Argument(help="A method, as for `run`: NAME, ./FILE.py, PACKAGE.MODULE:CLASS, a+b.")],
    json: options.Json = False,
) -> None:
    """Check a method against the contract (no data needed, half a minute).

    Example: python -m benchmark check ./mine.py

    Exit code: 0 all checks passed, 1 some failed, 2 there is no such method.
    """
    from benchmark.api.check import check as check_methods

    result = check_methods(method, console=stderr_console() if json else stdout_console())
    if json:
        print_json(result.as_dict())
    else:
        typer.echo(result.summary())
    raise typer.Exit(SOME_FAILED if result.faults else 0)
