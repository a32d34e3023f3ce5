"""`status`: where a results folder stands."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options

if TYPE_CHECKING:
    from benchmark.orchestrator.plan import Plan


def status(
    results: Annotated[Path, typer.Option("--results", help="Results folder.")],
    json: options.Json = False,
) -> None:
    """Print the trials that were submitted to a results folder, and which are done, stale, failed and missing.

    Example: python -m benchmark status --results OUT
    """
    from benchmark.orchestrator.plan import make_plan
    from benchmark.records.store import ResultStore

    store = ResultStore(results)
    store.require()
    print_plan(make_plan(store.submitted(), store), [], store.folder, as_json=json)


def print_plan(plan: Plan, missing_inputs: list[str], folder: Path, *, as_json: bool) -> None:
    """One line a trial, then the missing input, then the counts."""
    counts = plan.counts()
    if as_json:
        trials = [
            {"id": entry.request.id, "state": entry.state, "trial": entry.request.label} for entry in plan.entries
        ]
        content = {
            "results": str(folder),
            "counts": counts,
            "missing_inputs": missing_inputs,
            "trials": trials,
        }
        typer.echo(jsonlib.dumps(content, indent=1))
        return
    for entry in plan.entries:
        known = entry.request.id if entry.request.complete else "-" * 12  # the id needs the digests
        typer.echo(f"{entry.state:8}{known}  {entry.request.label}")
    for line in missing_inputs:
        typer.echo(f"missing input: {line}")
    text = ", ".join(f"{number} {state}" for state, number in counts.items())
    typer.echo(f"{len(plan.entries)} trials: {text}; results in {folder}")
