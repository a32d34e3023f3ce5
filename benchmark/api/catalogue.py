"""What the suite knows: methods, datasets, backbones, grids, protocols, recipes, papers, known defects, schemas."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, get_type_hints

from benchmark.errors import BenchmarkError, closest

if TYPE_CHECKING:
    from benchmark.methods.contract import Method

Entry = dict[str, Any]  # plain values, as `show` prints them
METHOD_GROUPS = ("paper", "field", "outside", "peft")  # in the order of lists


@dataclass(frozen=True)
class ResolvedRecipe:
    """The recipe that trials of one dataset, backbone and method get.

    Attributes:
        dataset: name of the dataset.
        backbone: name of the backbone.
        method: the method with its hyper-parameters.
        values: recipe values by key.
        sources: where each value comes from.
        open: remarks on values that the paper leaves open.
    """

    dataset: str
    backbone: str
    method: str
    values: dict[str, Any]
    sources: dict[str, str]
    open: dict[str, str]


def catalogue(kind: str) -> dict[str, Entry]:
    """Return every entry of a kind, by name.

    Args:
        kind: `methods`, `datasets`, `backbones`, `grids`, `protocols`, `recipes`, `papers`, `defects` or
            `schemas` (JSON Schema of what commands print with --json).

    Raises:
        BenchmarkError: an unknown kind.

    Example:
        >>> list(catalogue("methods"))
    """
    if kind not in CATALOGUES:
        raise BenchmarkError(f"unknown kind '{kind}'{closest(kind, CATALOGUES)}")
    return CATALOGUES[kind]()


def catalogue_entries(kind: str, name: str) -> dict[str, Entry]:
    """Return one entry in full as plain data; of a composed method `a+b`, the entry of each part.

    Args:
        kind: as for `catalogue`.
        name: name of the entry; a method or backbone from outside by its place, such as `./mine.py`.

    Raises:
        BenchmarkError: an unknown kind or name.

    Example:
        >>> catalogue_entries("methods", "aat_ms")["aat_ms"]["hyper-parameters"]
    """
    if kind == "methods":
        from benchmark.methods.registry import lookup_method

        entries = {method.name: _known(_method(method)) for method in map(lookup_method, name.split("+"))}
    elif kind == "backbones":
        entries = _one_backbone(name)
    else:
        entries = catalogue(kind)
        if name not in entries:
            raise BenchmarkError(f"unknown {kind.removesuffix('s')} '{name}'{closest(name, entries)}")
        entries = {name: entries[name]}
    plain: dict[str, Entry] = json.loads(json.dumps(entries))
    return plain


def resolved_recipe(dataset: str, backbone: str = "ast", method: str = "full") -> ResolvedRecipe:
    """Return the recipe that trials get, and where each value comes from.

    Args:
        dataset: name of a recipe, which is that of its dataset.
        backbone: name of a backbone.
        method: a method, as for `run`.

    Raises:
        BenchmarkError: an unknown name.

    Example:
        >>> resolved_recipe("esc50", method="aat_ms").values["lr"]
    """
    from benchmark.methods.registry import resolve_methods
    from benchmark.spec.backbone import load_backbone
    from benchmark.spec.recipe import resolve_recipe

    choice, entry = resolve_methods(method, "show recipe")[0].choice(), load_backbone(backbone)
    resolved = resolve_recipe(
        dataset,
        backbone=entry.family,
        method=choice.name,
        tuning=choice.tuning,
        of_backbone=entry.recipe_layers,
        overrides=[],
    )
    values = resolved.recipe.values
    return ResolvedRecipe(dataset, backbone, choice.variant, values, resolved.sources, resolved.open)


def _methods() -> dict[str, Entry]:
    from benchmark.methods import huggingface
    from benchmark.methods.registry import methods

    of_peft = {
        name: {
            "label": f"{tuner} (peft)", "description": huggingface.describe(tuner), "group": "peft", "year": None,
            "trains_percent": None,
        }
        for name in huggingface.names()
        for tuner in [name.removeprefix(huggingface.PREFIX)]
    }  # fmt: skip
    entries = {name: _method(method) for name, method in methods().items()}
    return dict(sorted({**entries, **of_peft}.items(), key=lambda item: METHOD_GROUPS.index(item[1]["group"])))


def _method(method: type[Method]) -> Entry:
    year = re.search(r"arXiv:(\d\d)\d\d\.", method.source)
    share = None if method.external else _trained_shares().get(method.name)
    return {
        "label": method.label,
        "description": inspect.cleandoc(method.__doc__ or ""),
        "group": _group(method),
        "year": 2000 + int(year[1]) if year else None,
        "trains_percent": share,
        "hyper-parameters": _hyper_parameters(method),
        "learning rate": method.tuning,
        "source": method.source,
    }


def _known(entry: Entry) -> Entry:
    """Return an entry without what is unknown, such as the share that a method from outside trains."""
    return {key: value for key, value in entry.items() if value is not None}


def _group(method: type[Method]) -> str:
    """Return the group of a method in lists: of the paper or its official code, of others, of a package or file."""
    if method.external:
        return "outside"
    return "paper" if any(source in method.source for source in _paper_sources()) else "field"


@functools.cache
def _paper_sources() -> tuple[str, ...]:
    """Return number and official code of the paper that the suite reproduces."""
    # not by `benchmark.report.papers`, which takes seconds to import
    return tuple(_read_yaml("paper_tables", "aat", "paper.yaml")["source"].split("; "))


@functools.cache
def _trained_shares() -> dict[str, float]:
    """Return the trained share of methods with default hyper-parameters, in per cent, on AST of base size."""
    shares: dict[str, float] = _read_yaml("benchmark", "methods", "shares.yaml")
    return shares


def _read_yaml(package: str, *path: str) -> Any:
    """Return the content of a YAML file that ships with the suite."""
    import yaml

    return yaml.safe_load(files(package).joinpath(*path).read_text(encoding="utf-8"))


def _hyper_parameters(method: type[Method]) -> Entry:
    from benchmark.spec.type_words import type_words

    fields = dataclasses.fields(method)  # type: ignore[arg-type]  # every registered method is a dataclass
    types = get_type_hints(method, include_extras=True)
    return {field.name: {"type": type_words(types[field.name]), "default": field.default} for field in fields}


def _datasets() -> dict[str, Entry]:
    from benchmark.data.registry import datasets

    return {name: dataclasses.asdict(dataset.info) for name, dataset in datasets().items()}


def _backbones() -> dict[str, Entry]:
    from benchmark.spec.backbone import backbone_names

    return {name: _backbone(name) for name in backbone_names()}


def _backbone(name: str) -> Entry:
    from benchmark.spec.backbone import OPTIONS, BackboneChoice, load_backbone

    entry = load_backbone(name)
    options = {option: BackboneChoice.model_fields[option].description for option in OPTIONS}
    return {**entry.model_dump(), **entry.shape.model_dump(), "options": options}


def _one_backbone(text: str) -> dict[str, Entry]:
    """Return the entry of a backbone, by its name or its place."""
    from benchmark.models.outside import enter_backbone

    name = enter_backbone(text)
    return {name: _backbone(name)}


def _grids() -> dict[str, Entry]:
    from benchmark.spec.declared import declared
    from benchmark.spec.grid import GridFile, load_grid

    return {name: load_grid(name).model_dump(include=set(GridFile.model_fields)) for name in declared("grids")}


def _protocols() -> dict[str, Entry]:
    from benchmark.spec.declared import declared
    from benchmark.spec.protocol import SWITCHES, Protocol, load_protocol

    def switch(name: str, value: str) -> Entry:
        field = Protocol.model_fields[name]
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        return {"value": value, "defect": extra.get("defect"), "meaning": field.description}

    loaded = {name: load_protocol(name) for name in declared("protocols")}
    return {
        name: {"switches": {key: switch(key, getattr(protocol, key)) for key in SWITCHES}}
        for name, protocol in loaded.items()
    }


def _recipes() -> dict[str, Entry]:
    from benchmark.spec.declared import declared
    from benchmark.spec.recipe import RecipeFile
    from benchmark.spec.yaml import read_yaml, validate

    return {
        name: validate(RecipeFile, read_yaml(path), str(path)).model_dump(exclude_none=True)
        for name, path in declared("recipes").items()
    }


def _papers() -> dict[str, Entry]:
    from benchmark.report.papers import known_papers, load_paper

    found = {}
    for name in known_papers():
        paper = load_paper(name)
        about = paper.about.model_dump()
        numbers = {"folder": str(paper.folder), "claims": len(paper.ledger.claims), "scores": len(paper.scores)}
        found[name] = {"description": f"{about['label']}: {about['title']}", **about, **numbers}
    return found


def _defects() -> dict[str, Entry]:
    from benchmark.report.papers import known_papers, read_defects

    found: dict[str, Entry] = {}
    for paper, folder in known_papers().items():
        for name, defect in read_defects(folder).items():
            summary = f"{defect.title} [{defect.switch or defect.status}]"
            key = f"{paper}/{name}" if name in found else name
            found[key] = {"description": summary, "paper": paper, **defect.model_dump(exclude_none=True)}
    return found


def _schemas() -> dict[str, Entry]:
    from benchmark.api.schemas import SCHEMAS

    return {
        name: {"description": f"What `{name} --json` prints", **model.model_json_schema()}
        for name, model in SCHEMAS.items()
    }


CATALOGUES: dict[str, Callable[[], dict[str, Entry]]] = {
    "methods": _methods,
    "datasets": _datasets,
    "backbones": _backbones,
    "grids": _grids,
    "protocols": _protocols,
    "recipes": _recipes,
    "papers": _papers,
    "defects": _defects,
    "schemas": _schemas,
}
