"""`list` and `show`: what the suite knows, with hyper-parameters, sources and defaults."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line, stdout_console
from benchmark.commands import command
from benchmark.console import Sheet, printable
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.api.catalogue import ResolvedRecipe

Plural = Literal["methods", "datasets", "backbones", "grids", "protocols", "recipes", "papers", "defects", "schemas"]
OF_FILES = ("methods", "backbones")  # kinds that may come from a file of the user
FACTS = ("label", "classes", "clips")  # columns of lists, where every entry has them
MOST_NUMBERS = 5  # equal numbers that are listed one by one
GROUPS = {
    "paper": "Methods of the paper (trains: share of AST's parameters with 50 classes)",
    "field": "Other methods",
    "outside": "Methods of installed packages and files",
    "peft": "Tuners of Hugging Face PEFT; hyper-parameters have peft's names",
}
Singular = Literal["method", "dataset", "backbone", "grid", "protocol", "recipe", "paper", "defect", "schema"]


def list_(kind: Annotated[Plural, typer.Argument()], json: options.Json = False) -> None:
    """List methods, datasets, backbones, grids, protocols, recipes, papers, defects of official code, or JSON schemas.

    Example: python -m benchmark list methods
    """
    from benchmark.api.catalogue import catalogue
    from benchmark.console import show as show_blocks

    entries = catalogue(kind)
    if json:
        print_json(entries)
        return
    sheets = _method_sheets(entries) if kind == "methods" else [_sheet(entries)]
    show_blocks(stdout_console(), sheets)
    if kind in OF_FILES:
        say_line(f"One of your own: `{command('show', kind.removesuffix('s'), './FILE.py')}` shows it.")


def _method_sheets(entries: dict[str, dict[str, Any]]) -> Iterator[Sheet]:
    """Yield the methods by group: label, year of the source, trained share of AST's parameters, summary."""
    columns = ["method", "label", "year", "trains", "what it does"]
    for group, title in GROUPS.items():
        rows = [
            [name, entry["label"], entry["year"] or "", _share(entry["trains_percent"]), _summary(entry)]
            for name, entry in entries.items()
            if entry["group"] == group
        ]
        if rows and group == "peft":  # their labels and shares say nothing more
            yield Sheet(title, ["method", "what it does"], [[name, what] for name, *_, what in rows])
        elif rows:
            yield Sheet(title, columns, rows)


def _share(percent: float | None) -> str:
    return "?" if percent is None else f"{percent:.3g} %"


def _sheet(entries: dict[str, dict[str, Any]]) -> Sheet:
    """Return names and the columns that entries of this kind have in common, with their summaries."""
    facts = [key for key in FACTS if all(key in entry for entry in entries.values())]
    rows = [[name, *(_fact(entry[key]) for key in facts), _summary(entry)] for name, entry in entries.items()]
    has_summary = any(row[-1] for row in rows)
    columns = ["name", *facts, *(["description"] if has_summary else [])]
    return Sheet("", columns, [row[: len(columns)] for row in rows])


def _fact(value: Any) -> object:
    return len(value) if isinstance(value, (tuple, list)) else value


def _summary(entry: dict[str, Any]) -> str:
    """Return the first line of an entry's description."""
    return next(iter(str(entry.get("description") or "").splitlines()), "")


def show(
    kind: Annotated[Singular, typer.Argument()],
    name: Annotated[str, typer.Argument(help="Its name; ./FILE.py or ./FILE.yaml for one of your own.")],
    backbone: Annotated[str | None, typer.Option(help="Resolve a recipe for this backbone.")] = None,
    method: Annotated[str | None, typer.Option(help="Resolve a recipe for this method.")] = None,
    json: options.Json = False,
) -> None:
    """Show one entry in full: hyper-parameters, defaults, sources. A schema describes what a command prints as JSON.

    With a backbone or a method, `show recipe` prints the values that a trial gets and the source of each.

    Example: python -m benchmark show method aat_ms

    Example: python -m benchmark show method ./mine.py

    Example: python -m benchmark show recipe esc50 --backbone ast --method aat_ms

    Example: python -m benchmark show schema status --json
    """
    from benchmark.api.catalogue import catalogue_entries, resolved_recipe

    if backbone or method:
        if kind != "recipe":
            raise BenchmarkError("--backbone and --method are options of `show recipe` only")
        _print_recipe(resolved_recipe(name, backbone or "ast", method or "full"), method or "full", as_json=json)
        return
    entries = catalogue_entries(f"{kind}s", name)
    if json:
        print_json(entries)
        return
    from benchmark.spec.yaml import yaml_text

    typer.echo(printable(yaml_text(_shorter(entries)), keep_lines=True), nl=False)


def _shorter(value: Any) -> Any:
    """Return an entry with long lists of equal numbers as one text: `40 each (50 entries)`."""
    if not isinstance(value, dict):
        return value
    numbers = [number for number in value.values() if isinstance(number, int) and not isinstance(number, bool)]
    if len(numbers) == len(value) > MOST_NUMBERS and len(set(numbers)) == 1:
        return f"{numbers[0]} each ({len(numbers)} entries)"
    return {key: _shorter(each) for key, each in value.items()}


def _print_recipe(found: ResolvedRecipe, method: str, *, as_json: bool) -> None:
    if as_json:
        names = {"recipe": found.dataset, "backbone": found.backbone, "method": method}
        print_json({**names, "values": found.values, "sources": found.sources, "open": found.open})
        return
    say_line(f"{found.dataset} for {found.backbone}, {found.method}")
    for key, value in found.values.items():
        remark = f" - {found.open[key]}" if key in found.open else ""
        say_line(f"{key:15} {jsonlib.dumps(value):16} {found.sources[key]}{remark}")
