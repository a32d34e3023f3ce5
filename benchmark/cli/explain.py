"""`explain`: provenance of a table cell."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, stdout_console
from benchmark.console import Block, Sheet
from benchmark.units import percent, plural

MAIN_PACKAGES = ("torch", "torchaudio", "ray", "numpy")  # of the environment, in text


def explain(
    names: Annotated[
        list[str],
        typer.Argument(help="Id of a cell or a trial, or names that choose cells: ast esc50 aat_ms."),
    ],
    results: options.ResultsFolder,
    classes: Annotated[
        bool, typer.Option("--classes", help="Also print the results by class.", rich_help_panel=options.OUTPUT)
    ] = False,
    json: options.Json = False,
) -> None:
    """Print the provenance of a table cell: records, folds, seeds, epochs, rule, protocol switches, environment.

    Example: python -m benchmark explain ast esc50 aat_ms --results OUT
    """
    from benchmark.api.explain import explain as explain_cells
    from benchmark.console import show

    cells = explain_cells(results, names, classes=classes)
    if json:
        print_json(cells)
        return
    for cell in cells:
        show(stdout_console(), _blocks(cell))
        if classes:
            _print_classes(cell["by_class"])


def _blocks(cell: dict[str, Any]) -> Iterator[Block]:
    """Yield score, folds and seeds, differences from the declared recipe, and the provenance of one cell."""
    score, (low, high) = cell["score"], cell["interval"]
    interval = "" if low is None else f", 95 % interval {100 * low:.2f} to {100 * high:.2f}"
    yield f"{cell['label']}: {'not complete' if score is None else percent(score)}{interval}"
    yield from _lines(
        {
            "cell": cell["cell"],
            "names": cell["what"],
            "settings": cell["settings"],
            "compared": _compared(cell["compared"]),
            "marks": cell["marks"] or "none: comparable with the paper",
            "comparable with": ", ".join(cell["comparable_with"]),
            "reported epoch": cell["reported_epoch"],
            "spread": ", ".join(
                f"{100 * cell[key]:.2f} over {key.partition('_')[0]}s" for key in ("seed_sd", "fold_sd") if cell[key]
            ),
            "floor": ", ".join(f"{name} {percent(value)}" for name, value in cell["floor"].items()),
            "missing": ", ".join(cell["missing"]),
        }
    )
    yield _trial_sheet(cell["trials"])
    if changes := cell["recipe_changes"]:
        rows = [
            [key, jsonlib.dumps(value), jsonlib.dumps(cell["recipe_declared"][key])] for key, value in changes.items()
        ]
        yield Sheet("Changes of the declared recipe", ["value", "here", "declared"], rows)
    unchanged = {key: value for key, value in cell["recipe"].items() if key not in cell["recipe_changes"]}
    backbone = cell["backbone"]
    yield from _lines(
        {
            "recipe": ", ".join(f"{key}={value}" for key, value in _known(unchanged)),
            "method": " + ".join(_part(part) for part in cell["method"]),
            "protocol": ", ".join(f"{key}={value}" for key, value in _known(cell["protocol_switches"])),
            "backbone": f"{backbone['weights']} ({backbone['checkpoint']}), sha256 {backbone['sha256']}",
            "data": ", ".join(f"{key} {_text(value)}" for key, value in _known(cell["data"]) if key != "verified"),
            "verified": _verified(cell["data"].get("verified")),
        }
    )
    for trial in cell["trials"]:
        yield (
            f"  fold {trial['fold']} seed {trial['seed']}: {trial['status']}, environment {trial['environment']}, "
            f"numerics version {trial['numerics_version']}, code {trial['fingerprint']}, {trial['record']}"
        )
    for name, environment in cell["environments"].items():
        packages = environment.get("packages", {})
        suite = environment.get("suite")  # records before schema version 6 have none
        known = [f"{key} {_text(value)}" for key, value in _known(environment) if key not in {"packages", "suite"}]
        known += [f"{key} {packages[key]}" for key in MAIN_PACKAGES if key in packages]
        more = f" and {len(packages)} packages (--json lists them)" if packages else ""
        yield f"  environment {name}: {f'{_suite(suite)}, ' if suite else ''}{', '.join(known)}{more}"


def _lines(values: dict[str, str]) -> Iterator[str]:
    """Yield a line for each value that is not empty."""
    yield from (f"  {name:16}{value}" for name, value in values.items() if value)


def _known(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the items whose value is known or set."""
    yield from ((key, value) for key, value in values.items() if value is not None)


def _compared(found: dict[str, Any] | None) -> str:
    """Return `minus Full fine-tuning: +2.5 points, ...` with interval and p of this comparison alone."""
    if found is None:
        return ""
    over = f"{plural(found['clips'], 'clip')} x {plural(found['seeds'], 'seed')}"
    if found["low"] == found["high"] == 0:
        return f"minus {found['label']}: 0.0 points, equal on every clip ({over})"
    p = "" if found["p"] is None else f", p = {found['p']:.2g}"
    interval = "" if found["low"] is None else f", 95 % interval {found['low']:+.1f} to {found['high']:+.1f}"
    return f"minus {found['label']}: {found['difference']:+.1f} points{interval}{p}, this comparison alone ({over})"


def _trial_sheet(trials: list[dict[str, Any]]) -> Sheet:
    """Return the scores as a table of folds x seeds, with the reported epoch of each."""
    seeds = sorted({trial["seed"] for trial in trials})
    scores: dict[tuple[int, int], list[str]] = {}
    for trial in trials:
        score = trial["status"] if trial["score"] is None else percent(trial["score"])
        text = f"{score} (epoch {trial['epoch']} of {trial['epochs']})"
        scores.setdefault((trial["fold"], trial["seed"]), []).append(text)
    folds = sorted({trial["fold"] for trial in trials})
    rows = [[fold or "none", *(tuple(scores.get((fold, seed), ["-"])) for seed in seeds)] for fold in folds]
    return Sheet("Trials", ["fold", *(f"seed {seed}" for seed in seeds)], rows)


def _part(part: dict[str, Any]) -> str:
    """Return a method with all its hyper-parameters."""
    options = ", ".join(f"{key}={_text(value)}" for key, value in _known(part.get("options") or {}))
    return f"{part['name']} ({options})" if options else str(part["name"])


def _text(value: Any) -> str:
    """Return a value without the brackets of Python."""
    if isinstance(value, dict):
        return " and ".join(f"{number} {key}" for key, number in value.items())
    return str(value)


def _print_classes(by_class: dict[str, Any]) -> None:
    """Print a table of the classes with test clips, then the pairs that are confused most."""
    from benchmark.console import say, say_table

    if "missing" in by_class:
        say(stdout_console(), f"  {'by class':15}{by_class['missing']}")
        return
    known = {name.replace("_", " "): value for name, value in by_class["summary"].items() if value["mean"] is not None}
    numbers = ", ".join(f"{name} {_number(value)}" for name, value in known.items())
    present = [entry for entry in by_class["classes"] if entry["support"]]
    metrics = list(by_class["classes"][0]["values"])
    rows = (
        [entry["name"], entry["support"], *(_number(entry["values"][name]) for name in metrics)] for entry in present
    )
    title = f"By class (%, {plural(len(by_class['seeds']), 'seed')}): {numbers}"
    say_table(stdout_console(), title, ["class", "clips", *metrics], rows)
    if by_class["confusion"] is None:
        typer.echo("Clips have several labels: there is no confusion matrix.")
    for pair in by_class["confused"]:
        say(stdout_console(), f"{percent(pair['share'], 1)} of {pair['true']} is taken for {pair['predicted']}")


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
