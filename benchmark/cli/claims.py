"""`claims`: which of the paper's claims hold."""

from __future__ import annotations

import dataclasses
import json as jsonlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options
from benchmark.cli.profile import profile_shapes

if TYPE_CHECKING:
    from benchmark.records.store import ResultStore
    from benchmark.report.claims.ledger import Judged

OTHERWISE = 3
COUNTED_GRID = "paper"
ADAPTERS = ("aat_m", "aat_ms")
COUNTED = ("full", "linear", "partial", "prompt", *ADAPTERS)
MOST = 90  # characters of a reason; --json has all

PaperFile = Annotated[
    Path | None, typer.Option("--paper", help="More of the paper's numbers (form: paper_tables/scores.yaml).")
]


def claims(
    results: Annotated[Path, typer.Option("--results", help="Results folder.")],
    protocol: Annotated[str, typer.Option(help="Whose trials judge: reference or corrected.")] = "reference",
    structural: Annotated[
        bool, typer.Option("--structural", help="First count what needs neither data nor weights nor GPU.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 0 only when nothing differs.")] = False,
    paper: PaperFile = None,
    json: options.Json = False,
) -> None:
    """Print every claim of the paper with the paper's value, the measured one with its 95 % interval, and the verdict.

    Verdicts: reproduced, differs, underpowered (the interval has both sides), not run, not comparable. Trials on
    synthetic or partial data, with random weights or a changed recipe never judge.

    Example: python -m benchmark claims --results OUT --structural

    Exit code: 0 every judged claim has the verdict that the ledger expects, 3 otherwise.
    """
    from benchmark.records.store import ResultStore
    from benchmark.report.claims.judge import judge
    from benchmark.report.write import read_results
    from benchmark.spec.protocol import load_protocol

    load_protocol(protocol)
    store = ResultStore(results)
    if structural:
        _count(store, protocol)
    judged = judge(read_results(store), protocol, paper)
    unexpected = [each for each in judged if not each.as_expected or (strict and each.verdict == "differs")]
    if json:
        content = [{**dataclasses.asdict(each), "as_expected": each.as_expected} for each in judged]
        typer.echo(jsonlib.dumps(content, indent=1))
    else:
        _print(judged)
        typer.echo(f"protocol {protocol}: {summary(judged)}")
        for each in unexpected:
            typer.echo(f"unexpected: {each.id}: {each.verdict}, expected {each.expect}")
    raise typer.Exit(OTHERWISE if unexpected else 0)


def summary(judged: list[Judged]) -> str:
    """`12 reproduced, 2 differs, 80 not run`."""
    from benchmark.report.claims.ledger import VERDICTS

    counts = Counter(each.verdict for each in judged)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def _count(store: ResultStore, protocol: str) -> None:
    """Profiles of the paper's shapes without a clock; those that are there stay."""
    from rich.console import Console

    from benchmark.planning.expand import expand
    from benchmark.spec.grid import load_grid, narrow

    grid = narrow(load_grid(COUNTED_GRID), backbones=["ast"], methods=COUNTED, seeds=["0"], protocol=protocol)
    expansion = expand(grid, Path("none"), Path("none"))
    known = {each.request.step_key for each in store.profiles() if each.request.method.variant not in ADAPTERS}
    known |= {each.request.step_key for each in store.profiles() if each.identity_error is not None}
    new = [request for request in expansion.requests if request.step_key not in known]
    profile_shapes(
        new, expansion, store, Console(stderr=True, highlight=False), device="cpu", threads=1, steps=0, seconds=0,
        clips=None, identity=ADAPTERS,
    )  # fmt: skip


def _print(judged: list[Judged]) -> None:
    """A line each: verdict, claim, what was measured against what, why."""
    from benchmark.report.claims.ledger import measured_text

    for each in judged:
        found = measured_text(each)
        against = f" (paper: {each.paper})" if each.paper else ""
        why = each.why if len(each.why) <= MOST else f"{each.why[:MOST]}..."
        typer.echo(f"{each.verdict:15}{each.statement}{against}{f': {found}' if found else ''}; {why}")
