"""`claims`: which claims of papers hold."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, stderr_console, stdout_console

UNEXPECTED = 3  # exit code


def claims(
    results: options.ResultsFolder,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Whose trials judge: reference or corrected.",
            show_default="the protocol of each paper",
            rich_help_panel=options.CHOICE,
        ),
    ] = None,
    structural: Annotated[
        bool,
        typer.Option(
            "--structural",
            help="First count parameters, operations and memory; needs no data, weights or GPU.",
            rich_help_panel=options.CHOICE,
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 0 only if nothing differs.", rich_help_panel=options.OUTPUT)
    ] = False,
    paper: options.Papers = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Show every claim with its values and reason, also those that were not run.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Print which claims of papers hold: a row per judged claim, a sign per dataset, and the number by verdict.

    Verdicts: reproduced, differs, underpowered (the interval includes zero), not run, not comparable. Trials on
    synthetic or partial data, with random weights or a changed recipe never judge.

    Example: python -m benchmark claims --results OUT --structural

    Example: python -m benchmark claims --results OUT --paper petl_ast

    Exit code: 0 every judged claim has the verdict that the ledger expects, 3 otherwise.
    """
    from benchmark.api.claims import claims as judge_claims
    from benchmark.console import say, show

    judged = judge_claims(
        results, protocol=protocol, structural=structural, paper=paper or (), console=stderr_console()
    )
    unexpected = judged.unexpected(strict=strict)
    if json:
        print_json(judged.as_dicts())
    else:
        show(stdout_console(), judged.blocks(every=every))
        for claim in unexpected:
            start = "differs, which --strict counts as a failure" if claim.as_expected else "not as expected"
            expected = f"claims.yaml expects: {claim.expect}"
            say(stdout_console(), f"{start}: {claim.statement}: {claim.verdict}; {expected} ({claim.id})")
    raise typer.Exit(UNEXPECTED if unexpected else 0)
