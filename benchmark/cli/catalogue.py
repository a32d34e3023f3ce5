"""`list` and `show`: what the suite knows, with hyper-parameters, sources and defaults."""

from __future__ import annotations

import dataclasses
import inspect
import json as jsonlib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from benchmark.cli import options
from benchmark.errors import BenchmarkError, closest

if TYPE_CHECKING:
    from benchmark.methods.contract import Method

Entry = dict[str, Any]


def _methods() -> dict[str, Entry]:
    from benchmark.methods import huggingface
    from benchmark.methods.registry import methods

    theirs = {
        name: {"label": f"{kind} (peft)", "description": huggingface.describe(kind)}
        for name in huggingface.names()
        for kind in [name.removeprefix(huggingface.PREFIX)]
    }
    return {**{name: _method(method) for name, method in methods().items()}, **theirs}


def _method(method: type[Method]) -> Entry:
    return {
        "label": method.label,
        "description": inspect.cleandoc(method.__doc__ or ""),
        "hyper-parameters": _hyper_parameters(method),
        "learning rate": method.tuning,
        "source": method.source,
    }


def _hyper_parameters(method: type[Method]) -> Entry:
    fields = dataclasses.fields(method)  # type: ignore[arg-type]  # every registered method is a dataclass
    return {field.name: {"type": str(field.type), "default": field.default} for field in fields}


def _datasets() -> dict[str, Entry]:
    from benchmark.data.registry import datasets

    return {name: dataclasses.asdict(dataset.info) for name, dataset in datasets().items()}


def _backbones() -> dict[str, Entry]:
    from benchmark.spec.backbone import load_backbone
    from benchmark.spec.yaml import declared

    entries = {name: load_backbone(name) for name in declared("backbones")}
    return {name: {**entry.model_dump(), **entry.shape.model_dump()} for name, entry in entries.items()}


def _grids() -> dict[str, Entry]:
    from benchmark.spec.grid import GridFile, load_grid
    from benchmark.spec.yaml import declared

    return {name: load_grid(name).model_dump(include=set(GridFile.model_fields)) for name in declared("grids")}


def _protocols() -> dict[str, Entry]:
    from benchmark.spec.protocol import SWITCHES, Protocol, load_protocol
    from benchmark.spec.yaml import declared

    def switch(name: str, value: str) -> Entry:
        field = Protocol.model_fields[name]
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        return {"value": value, "defect": extra.get("defect"), "meaning": field.description}

    loaded = {name: load_protocol(name) for name in declared("protocols")}
    return {
        name: {"switches": {key: switch(key, getattr(protocol, key)) for key in SWITCHES}}
        for name, protocol in loaded.items()
    }


def _defects() -> dict[str, Entry]:
    from importlib.resources import files

    import yaml

    content = yaml.safe_load((files("paper_tables") / "defects.yaml").read_text(encoding="utf-8"))
    return {
        name: {"description": f"{entry['title']} [{entry.get('switch') or entry['status']}]", **entry}
        for name, entry in content["defects"].items()
    }


def _recipes() -> dict[str, Entry]:
    from benchmark.spec.recipe import RecipeFile
    from benchmark.spec.yaml import declared, read_yaml, validate

    return {
        name: validate(RecipeFile, read_yaml(path), str(path)).model_dump(exclude_none=True)
        for name, path in declared("recipes").items()
    }


CATALOGUES = {
    "methods": _methods,
    "datasets": _datasets,
    "backbones": _backbones,
    "grids": _grids,
    "protocols": _protocols,
    "recipes": _recipes,
    "defects": _defects,
}
Plural = Literal["methods", "datasets", "backbones", "grids", "protocols", "recipes", "defects"]
Singular = Literal["method", "dataset", "backbone", "grid", "protocol", "recipe", "defect"]


def list_(kind: Annotated[Plural, typer.Argument()], json: options.Json = False) -> None:
    """List methods, datasets, backbones, grids, protocols, recipes, or defects of the official code.

    Example: python -m benchmark list methods
    """
    entries = CATALOGUES[kind]()
    if json:
        typer.echo(jsonlib.dumps(entries, indent=1, default=str))
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
    if backbone or method:
        if kind != "recipe":
            raise BenchmarkError("--backbone and --method go with `show recipe`")
        _show_resolved(name, backbone or "ast", method or "full", as_json=json)
        return
    entries = CATALOGUES[f"{kind}s"]()
    names = name.split("+") if kind == "method" else [name]  # a composition is its parts
    for each in names:
        if each not in entries:
            raise BenchmarkError(f"unknown {kind} '{each}'{closest(each, entries)}")
        if kind == "method":
            from benchmark.methods.registry import find_method

            entries[each] = _method(find_method(each))
    plain = jsonlib.loads(jsonlib.dumps({each: entries[each] for each in names}))
    if json:
        typer.echo(jsonlib.dumps(plain, indent=1))
        return
    import yaml

    typer.echo(yaml.safe_dump(plain, sort_keys=False, width=110), nl=False)


def _show_resolved(dataset: str, backbone: str, method: str, *, as_json: bool) -> None:
    from benchmark.methods.registry import resolve_methods
    from benchmark.spec.backbone import load_backbone
    from benchmark.spec.recipe import resolve_recipe

    choice = resolve_methods(method, "show recipe")[0].choice()
    resolved = resolve_recipe(
        dataset, backbone=load_backbone(backbone).name, method=choice.name, tuning=choice.tuning, overrides=[]
    )
    values = resolved.recipe.model_dump(mode="json")
    if as_json:
        content = {"values": values, "sources": resolved.sources, "open": resolved.open}
        typer.echo(jsonlib.dumps({"recipe": dataset, "backbone": backbone, "method": method, **content}, indent=1))
        return
    typer.echo(f"{dataset} for {backbone}, {choice.variant}")
    for key, value in values.items():
        remark = f" - {resolved.open[key]}" if key in resolved.open else ""
        typer.echo(f"{key:14} {jsonlib.dumps(value):16} {resolved.sources[key]}{remark}")
