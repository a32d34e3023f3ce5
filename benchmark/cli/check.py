"""`check`: whether a method keeps the contract."""

from __future__ import annotations

from typing import Annotated

import typer

FAULTY = 1


def check(
    method: Annotated[str, typer.Argument(help="A method, as for `run`: NAME, ./FILE.py, PACKAGE.MODULE:CLASS, a+b.")],
) -> None:
    """Train small models with a method, without data, and name what is wrong with it.

    Example: python -m benchmark check ./mine.py

    Exit code: 0 all checks passed, 1 some failed, 2 there is no such method.
    """
    from rich.console import Console
    from rich.markup import escape

    from benchmark.methods.registry import resolve_methods

    found = resolve_methods(method, "check")
    from benchmark.testing import conform

    console, faults = Console(highlight=False, soft_wrap=True), 0
    for each in found:
        console.print(escape(each.choice().variant))
        for finding in conform(each):
            word = "[red]FAIL[/red]" if finding.fault else "ok  "
            text = f"{finding.about}: {finding.fault}" if finding.fault else finding.about
            console.print(f"  {word} {finding.check:13} {escape(text)} ({finding.seconds:.1f} s)")
            faults += finding.fault is not None
    if faults:
        console.print(f"{faults} of the checks failed")
        raise typer.Exit(FAULTY)
    console.print("all checks passed")
