"""`check`: whether a method or a backbone keeps its contract."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, stderr_console, stdout_console
from benchmark.errors import BenchmarkError

SOME_FAILED = 1  # exit code
BACKBONE = "backbone"


def check(
    what: Annotated[
        str, typer.Argument(metavar="METHOD | backbone", help="A method: NAME, ./FILE.py, PACKAGE.MODULE:CLASS, a+b.")
    ],
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="After `backbone`: NAME, ./FILE.py, PACKAGE.MODULE:CLASS, ./FILE.yaml."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Check a method (half a minute) or a backbone (two minutes) against its contract; no data needed.

    Example: python -m benchmark check ./mine.py

    Example: python -m benchmark check backbone ./mine.py

    Exit code: 0 all checks passed, 1 some failed, 2 there is no such method or backbone.
    """
    from benchmark.api.check import check as check_methods
    from benchmark.api.check import check_backbone

    console = stderr_console() if json else stdout_console()
    if what == BACKBONE:
        if name is None:
            raise BenchmarkError("check backbone: name a backbone, as in `check backbone ./mine.py`")
        result = check_backbone(name, console=console)
    elif name is not None:
        raise BenchmarkError(f"check {what} {name}: expected one method, or `backbone` and a backbone")
    else:
        result = check_methods(what, console=console)
    if json:
        print_json(result.as_dict())
    else:
        typer.echo(result.summary())
    raise typer.Exit(SOME_FAILED if result.faults else 0)
