"""`explain`: what stands behind a number."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import options


def explain(
    names: Annotated[
        list[str],
        typer.Argument(help="A cell's or trial's id, or names that choose cells: ast esc50 aat_ms."),
    ],
    results: Annotated[Path, typer.Option("--results", help="Results folder.")],
    json: options.Json = False,
) -> None:
    """Print the records, folds, seeds, epochs, rule, protocol switches and environment behind a cell of a table.

    Example: python -m benchmark explain ast esc50 aat_ms --results OUT
    """
    from benchmark.records.store import ResultStore
    from benchmark.report.explain import explain as behind
    from benchmark.report.explain import find_cells
    from benchmark.report.write import read_results

    evidence = read_results(ResultStore(results))
    found = [behind(evidence, cell) for _, cell in find_cells(evidence, names).iterrows()]
    if json:
        typer.echo(jsonlib.dumps(found, indent=1))
        return
    for each in found:
        _print(each)


def _print(found: dict[str, Any]) -> None:
    score, (low, high) = found["score"], found["interval"]
    text = "not complete" if score is None else f"{100 * score:.2f} %"
    if low is not None:
        text += f", 95 % interval {100 * low:.2f} to {100 * high:.2f}"
    typer.echo(f"{found['what']}: {text}")
    lines = {
        "cell": found["cell"],
        "settings": found["settings"],
        "marks": found["marks"] or "none: it speaks for the paper's setting",
        "reported epoch": found["reported_epoch"],
        "spread": ", ".join(
            f"{100 * found[key]:.2f} over {key.partition('_')[0]}s" for key in ("seed_sd", "fold_sd") if found[key]
        ),
        "backbone": f"{found['backbone']['weights']}, sha256 {found['backbone']['sha256']}",
        "data": ", ".join(f"{key} {value}" for key, value in found["data"].items()),
        "method": jsonlib.dumps(found["method"]),
        "recipe": ", ".join(f"{key}={value}" for key, value in found["recipe"].items()),
        "protocol": ", ".join(f"{key}={value}" for key, value in found["protocol_switches"].items()),
        "missing": ", ".join(found["missing"]),
    }
    for name, value in lines.items():
        if value:
            typer.echo(f"  {name:15}{value}")
    for trial in found["trials"]:
        value = "-" if trial["score"] is None else f"{100 * trial['score']:.2f} %"
        typer.echo(
            f"  fold {trial['fold']} seed {trial['seed']}: {value} at epoch {trial['epoch']} of {trial['epochs']}, "
            f"{trial['status']}, environment {trial['environment']}, numerics version "
            f"{trial['numerics_version']}, code {trial['fingerprint']}, {trial['record']}"
        )
    for name, environment in found["environments"].items():
        packages = ", ".join(f"{key} {value}" for key, value in environment.get("packages", {}).items())
        rest = ", ".join(f"{key} {value}" for key, value in environment.items() if key != "packages")
        typer.echo(f"  environment {name}: {rest}; {packages}")
