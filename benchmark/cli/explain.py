"""`explain`: provenance of a table cell."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated, Any

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, stdout_console
from benchmark.units import plural


def explain(
    names: Annotated[
        list[str],
        typer.Argument(help="Id of a cell or a trial, or names that choose cells: ast esc50 aat_ms."),
    ],
    results: options.ResultsFolder,
    classes: Annotated[bool, typer.Option("--classes", help="Also print the results by class.")] = False,
    json: options.Json = False,
) -> None:
    """Print the provenance of a table cell: records, folds, seeds, epochs, rule, protocol switches, environment.

    Example: python -m benchmark explain ast esc50 aat_ms --results OUT
    """
    from benchmark.api.explain import explain as explain_cells

    cells = explain_cells(results, names, classes=classes)
    if json:
        print_json(cells)
        return
    for cell in cells:
        _print(cell)
        if classes:
            _print_classes(cell["by_class"])


def _print(cell: dict[str, Any]) -> None:
    score, (low, high) = cell["score"], cell["interval"]
    text = "not complete" if score is None else f"{100 * score:.2f} %"
    if low is not None:
        text += f", 95 % interval {100 * low:.2f} to {100 * high:.2f}"
    typer.echo(f"{cell['what']}: {text}")
    lines = {
        "cell": cell["cell"],
        "settings": cell["settings"],
        "marks": cell["marks"] or "none: comparable with the paper",
        "comparable with": ", ".join(cell["comparable_with"]),
        "reported epoch": cell["reported_epoch"],
        "spread": ", ".join(
            f"{100 * cell[key]:.2f} over {key.partition('_')[0]}s" for key in ("seed_sd", "fold_sd") if cell[key]
        ),
        "floor": ", ".join(f"{name} {100 * value:.2f} %" for name, value in cell["floor"].items()),
        "backbone": f"{cell['backbone']['weights']} ({cell['backbone']['checkpoint']}), sha256 "
        f"{cell['backbone']['sha256']}",
        "data": ", ".join(f"{key} {value}" for key, value in cell["data"].items() if key != "verified"),
        "verified": _verified(cell["data"].get("verified")),
        "method": jsonlib.dumps(cell["method"]),
        "recipe": ", ".join(f"{key}={value}" for key, value in cell["recipe"].items()),
        "protocol": ", ".join(f"{key}={value}" for key, value in cell["protocol_switches"].items()),
        "missing": ", ".join(cell["missing"]),
    }
    for name, value in lines.items():
        if value:
            typer.echo(f"  {name:16}{value}")
    for trial in cell["trials"]:
        value = "-" if trial["score"] is None else f"{100 * trial['score']:.2f} %"
        typer.echo(
            f"  fold {trial['fold']} seed {trial['seed']}: {value} at epoch {trial['epoch']} of {trial['epochs']}, "
            f"{trial['status']}, environment {trial['environment']}, numerics version "
            f"{trial['numerics_version']}, code {trial['fingerprint']}, {trial['record']}"
        )
    for name, environment in cell["environments"].items():
        packages = ", ".join(f"{key} {value}" for key, value in environment.get("packages", {}).items())
        suite = environment.get("suite")  # records before schema version 6 have none
        rest = ", ".join(f"{key} {value}" for key, value in environment.items() if key not in {"packages", "suite"})
        typer.echo(f"  environment {name}: {f'{_suite(suite)}, ' if suite else ''}{rest}; {packages}")


def _print_classes(by_class: dict[str, Any]) -> None:
    """Print a table of the classes with test clips, then the pairs that are confused most."""
    from benchmark.console import say_table

    if "missing" in by_class:
        typer.echo(f"  {'by class':15}{by_class['missing']}")
        return
    known = {name.replace("_", " "): value for name, value in by_class["summary"].items() if value["mean"] is not None}
    numbers = ", ".join(f"{name} {_number(value)}" for name, value in known.items())
    present = [entry for entry in by_class["classes"] if entry["support"]]
    metrics = list(by_class["classes"][0]["values"])
    rows = (
        [entry["name"], entry["support"], *(_number(entry["values"][name]) for name in metrics)] for entry in present
    )
    title = f"By class (%, {plural(len(by_class['seeds']), 'seed')}): {numbers}"
    say_table(stdout_console(soft_wrap=True), title, ["class", "clips", *metrics], rows)
    if by_class["confusion"] is None:
        typer.echo("Clips have several labels: there is no confusion matrix.")
    for pair in by_class["confused"]:
        typer.echo(f"{100 * pair['share']:.1f} % of {pair['true']} is taken for {pair['predicted']}")


def _number(value: dict[str, float | None]) -> str:
    """Return `87.5 ± 2.0` in per cent, a dash if it is not defined."""
    if value["mean"] is None:
        return "-"
    return f"{100 * value['mean']:.1f}" + ("" if value["seed_sd"] is None else f" ± {100 * value['seed_sd']:.1f}")


def _suite(suite: dict[str, Any]) -> str:
    if not suite["commit"]:
        return f"suite {suite['version']}"
    return f"suite {suite['version']}, commit {suite['commit'][:12]}{' with changed files' if suite['dirty'] else ''}"


def _verified(verdict: dict[str, Any] | None) -> str:
    """Say what `data verify` found of the data."""
    if verdict is None:
        return "not verified"
    faults = f", {plural(verdict['problems'], 'problem')}" if verdict["problems"] else ""
    return f"{verdict['verdict']}, digest {verdict['digest'][:12]}, read {verdict['checked']}{faults}"
