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
    from benchmark.methods.registry import methods

    return {
        name: {
            "label": method.label,
            "description": inspect.cleandoc(method.__doc__ or ""),
            "hyper-parameters": _hyper_parameters(method),
            "learning rate": method.tuning,
            "source": method.source,
        }
        for name, method in methods().items()
    }


def _hyper_parameters(method: type[Method]) -> Entry:
    fields = dataclasses.fields(method)  # type: ignore[arg-type]  # every registered method is a dataclass
    return {field.name: {"type": str(field.type), "default": field.default} for field in fields}


def _datasets() -> dict[str, Entry]:
    from benchmark.data.registry import datasets

    return {name: dataclasses.asdict(dataset.facts) for name, dataset in datasets().items()}


def _backbones() -> dict[str, Entry]:
    from benchmark.spec.backbone import load_backbone
    from benchmark.spec.validation import declared

    entries = {name: load_backbone(name) for name in declared("backbones")}
    return {name: {**entry.model_dump(), **entry.shape.model_dump()} for name, entry in entries.items()}


def _grids() -> dict[str, Entry]:
    from benchmark.spec.grid import GridFile, load_grid
    from benchmark.spec.validation import declared

    return {name: load_grid(name).model_dump(include=set(GridFile.model_fields)) for name in declared("grids")}


def _protocols() -> dict[str, Entry]:
    from benchmark.spec.protocol import SWITCHES, Protocol, load_protocol
    from benchmark.spec.validation import declared

    def switch(name: str, value: str) -> Entry:
        field = Protocol.model_fields[name]
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        return {"value": value, "defect": extra.get("defect"), "meaning": field.description}

    loaded = {name: load_protocol(name) for name in declared("protocols")}
    return {
        name: {"switches": {key: switch(key, getattr(protocol, key)) for key in SWITCHES}}
        for name, protocol in loaded.items()
    }


CATALOGUES = {
    "methods": _methods,
    "datasets": _datasets,
    "backbones": _backbones,
    "grids": _grids,
    "protocols": _protocols,
}
Plural = Literal["methods", "datasets", "backbones", "grids", "protocols"]
Singular = Literal["method", "dataset", "backbone", "grid", "protocol"]


def list_(kind: Annotated[Plural, typer.Argument()], json: options.Json = False) -> None:
    """List methods, datasets, backbones, grids or protocols.

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
    json: options.Json = False,
) -> None:
    """Show one entry in full: hyper-parameters, defaults, sources.

    Example: python -m benchmark show method aat_ms
    """
    entries = CATALOGUES[f"{kind}s"]()
    if name not in entries:
        raise BenchmarkError(f"unknown {kind} '{name}'{closest(name, entries)}")
    if json:
        typer.echo(jsonlib.dumps({"name": name, **entries[name]}, indent=1, default=str))
        return
    import yaml

    typer.echo(
        yaml.safe_dump({name: jsonlib.loads(jsonlib.dumps(entries[name]))}, sort_keys=False, width=110),
        nl=False,
    )
