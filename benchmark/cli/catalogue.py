"""`list` and `show`: what the suite knows, with hyper-parameters, sources and defaults."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.api.catalogue import ResolvedRecipe

Plural = Literal["methods", "datasets", "backbones", "grids", "protocols", "recipes", "papers", "defects"]
Singular = Literal["method", "dataset", "backbone", "grid", "protocol", "recipe", "paper", "defect"]


def list_(kind: Annotated[Plural, typer.Argument()], json: options.Json = False) -> None:
    """List methods, datasets, backbones, grids, protocols, recipes, papers, or defects of official code.

    Example: python -m benchmark list methods
    """
    from benchmark.api.catalogue import catalogue

    entries = catalogue(kind)
    if json:
        print_json(entries)
        return
    width = max(map(len, entries), default=0)
    for name, entry in entries.items():
        summary = str(entry.get("description") or entry.get("label") or "").splitlines()
        typer.echo(f"{name:{width}}  {summary[0] if summary else ''}".rstrip())


def show(
    kind: Annotated[Singular, typer.Argument()],
    name: Annotated[str, typer.Argument()],
    backbone: Annotated[str | None, typer.Option(help="Resolve a recipe for this backbone.")] = None,
    method: Annotated[str | None, typer.Option(help="Resolve a recipe for this method.")] = None,
    json: options.Json = False,
) -> None:
    """Show one entry in full: hyper-parameters, defaults, sources.

    With a backbone or a method, `show recipe` prints the values that a trial gets and the source of each.

    Example: python -m benchmark show method aat_ms

    Example: python -m benchmark show recipe esc50 --backbone ast --method aat_ms
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
    import yaml

    typer.echo(yaml.safe_dump(entries, sort_keys=False, width=110), nl=False)


def _print_recipe(found: ResolvedRecipe, method: str, *, as_json: bool) -> None:
    if as_json:
        names = {"recipe": found.dataset, "backbone": found.backbone, "method": method}
        print_json({**names, "values": found.values, "sources": found.sources, "open": found.open})
        return
    typer.echo(f"{found.dataset} for {found.backbone}, {found.method}")
    for key, value in found.values.items():
        remark = f" - {found.open[key]}" if key in found.open else ""
        typer.echo(f"{key:15} {jsonlib.dumps(value):16} {found.sources[key]}{remark}")
