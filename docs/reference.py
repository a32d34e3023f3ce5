"""Hook of MkDocs: the pages and schemas of `reference/`, written from the code: they cannot be out of date.

Notebooks become pages, too.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel

import benchmark
from benchmark.api.catalogue import catalogue, resolved_recipe
from benchmark.api.schemas import SCHEMAS, Output
from benchmark.errors import BenchmarkError
from benchmark.spec.backbone import LATER, BackboneEntry
from benchmark.spec.type_words import bounds, type_words
from benchmark.submissions.describe import store_rules

INDEX = "reference/index.md"  # says how to print each generated page without the site
NOT_STATED = {*LATER, "name", "sha256"}  # of a backbone: what users or trials give
NOTEBOOK, NOTEBOOK_PAGE = ".ipynb", "-notebook.md"  # endings of a notebook and of its page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and schemas (called by MkDocs)."""
    for name, write in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content="\n".join(write()) + "\n"))
    schemas = {f"schema/{name}.json": model for name, model in _schemas().items()}
    schemas |= {_schema_path(command): model for command, model in SCHEMAS.items()}
    for path, model in schemas.items():
        content = json.dumps(model.model_json_schema(), indent=1)
        files.append(File.generated(config, f"reference/{path}", content=content))
    for notebook in [file for file in files if file.src_uri.endswith(NOTEBOOK)]:
        page = notebook.src_uri.removesuffix(NOTEBOOK) + NOTEBOOK_PAGE
        files.append(File.generated(config, page, content=notebook_page(Path(str(notebook.abs_src_path)))))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links to notebooks and generated pages open these pages (called by MkDocs).

    In a clone there are no such pages: there the links show the notebooks and the sections of the reference's index.
    """
    if page.file.src_uri.endswith(NOTEBOOK_PAGE):
        return markdown  # it links to the file, to download
    if page.file.src_uri == INDEX:
        return re.sub(r"^## (\w+)$", r"## [\1](\1.md)", markdown, flags=re.MULTILINE)
    markdown = re.sub(rf"\]\(([^)#]*){INDEX}#(\w+)\)", r"](\1reference/\2.md)", markdown)
    return re.sub(rf"\]\(([^)#]+){re.escape(NOTEBOOK)}\)", rf"](\1{NOTEBOOK_PAGE})", markdown)


def notebook_page(path: Path) -> str:
    """Return a notebook with its outputs as Markdown."""
    from nbconvert import MarkdownExporter

    text, _ = MarkdownExporter().from_filename(str(path))
    title, _, rest = text.strip().partition("\n")
    return f"{title}\n\n[Download this notebook]({path.name}).\n{rest}\n"


def commands() -> Iterator[str]:
    """Yield every command with its arguments and options."""
    from typer import Context
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from benchmark.cli.main import app

    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=Context(command), name="python -m benchmark", title="Commands")
    text = text.replace("\\[", "[")  # escaped for the terminal
    yield re.sub(r"^Example: (.*)$", r"Example: `\1`", text, flags=re.MULTILINE)


def methods() -> Iterator[str]:
    """Yield the methods with their hyper-parameters."""
    yield from (
        "# Methods",
        "",
        "Methods compose with `+`, such as `aat_ms+prompt`; brackets set hyper-parameters.",
        "",
    )
    entries = catalogue("methods")
    for name, entry in entries.items():
        if "source" not in entry:
            continue
        yield from (f"## {name}", "", f"**{entry['label']}** ({entry['source']}). {entry['description']}", "")
        rows = [
            (_code(key), value["type"], _code(value["default"])) for key, value in entry["hyper-parameters"].items()
        ]
        yield from _table(("hyper-parameter", "type", "default"), rows)
    yield from ("## Tuners of Hugging Face PEFT", "", "With peft's names of hyper-parameters.", "")
    yield from _table(
        ("name", "tuner"), [(_code(key), each["description"]) for key, each in entries.items() if "source" not in each]
    )


def datasets() -> Iterator[str]:
    """Yield the datasets with their facts."""
    yield from ("# Datasets", "")
    for name, entry in catalogue("datasets").items():
        yield from (f"## {name}", "")
        yield from _table(("fact", "value"), [(key, _plain(value)) for key, value in entry.items()])


def backbones() -> Iterator[str]:
    """Yield the declared backbones."""
    yield from ("# Backbones", "")
    for name, entry in catalogue("backbones").items():
        yield from (f"## {name}", "", str(entry["description"]), "")
        rows = [(key, _plain(value)) for key, value in entry.items() if key not in {"description", "options"}]
        yield from _table(("fact", "value"), rows)
    yield from (
        "## Keys",
        "",
        "Of a YAML file, and of `register_backbone`. The name of a file's backbone is the file's.",
        "",
    )
    yield from _table(("key", "value", "default", "meaning"), _keys(BackboneEntry, left_out=NOT_STATED))
    yield from ("## Options", "", "In brackets: `ast[size=tiny;weights=random:0]`.", "")
    yield from _table(("option", "meaning"), [(_code(key), text) for key, text in entry["options"].items()])


def _keys(model: type[BaseModel], prefix: str = "", left_out: Collection[str] = ()) -> Iterator[tuple[str, ...]]:
    """Yield key, type, default and meaning of every field of a model; of a field that is a model, those in it."""
    for name, field in model.model_fields.items():
        if name in left_out:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
            continue
        words = ", ".join([type_words(field.annotation), *bounds(field.metadata)])
        value = None if field.is_required() else field.get_default(call_default_factory=True)
        default = "required" if field.is_required() else json.dumps(value) if value in (None, True) else _plain(value)
        yield _code(f"{prefix}{name}"), words, default, field.description or ""


def grids() -> Iterator[str]:
    """Yield the declared grids."""
    yield from ("# Grids", "", "`run --grid NAME`; a file of your own has the same keys.", "")
    for name, entry in catalogue("grids").items():
        yield from (f"## {name}", "", str(entry["description"]), "")
        rows = [
            (key, _plain(value)) for key, value in entry.items() if key != "description" and value not in (None, {}, [])
        ]
        yield from _table(("key", "value"), rows)


def recipes() -> Iterator[str]:
    """Yield the recipe of every dataset, for full fine-tuning and for adapters, with the source of each value."""
    from benchmark.spec.recipe import Recipe

    yield from (
        "# Recipes",
        "",
        "What is trained how, on AST. `show recipe NAME --backbone B --method M` prints any other.",
        "",
    )
    yield from _table(
        ("key", "meaning"), [(_code(key), field.description or "") for key, field in Recipe.model_fields.items()]
    )
    for name in catalogue("recipes"):
        try:
            full, adapters = (resolved_recipe(name, "ast", method) for method in ("full", "aat_ms"))
        except BenchmarkError:  # a list of defaults, not a recipe of its own
            continue
        yield from (f"## {name}", "")
        rows = [
            (_code(key), _code(value), _code(adapters.values[key]), full.sources.get(key, ""), full.open.get(key, ""))
            for key, value in full.values.items()
        ]
        yield from _table(("key", "full", "adapters", "source", "what the source leaves open"), rows)


def protocols() -> Iterator[str]:
    """Yield the switches with their value in each protocol."""
    from benchmark.spec.declared import declared
    from benchmark.spec.protocol import SWITCHES, Protocol, load_protocol

    names = list(declared("protocols"))
    loaded = {name: load_protocol(name).switches for name in names}
    yield from ("# Protocols", "", "A switch is set alone with `--set protocol.SWITCH=VALUE`.", "")
    rows = []
    for switch in SWITCHES:
        field = Protocol.model_fields[switch]
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        values = [_code(loaded[name][switch]) for name in names]
        rows.append((_code(switch), *values, str(extra.get("defect", "")), field.description or ""))
    yield from _table(("switch", *names, "defect", "meaning"), rows)


def papers() -> Iterator[str]:
    """Yield the papers whose claims are judged."""
    yield from ("# Papers", "", "`claims --paper NAME` judges the claims; a folder of your own has the same files.", "")
    for name, entry in catalogue("papers").items():
        yield from (f"## {entry['label']}", "", f"{entry['title']} ({entry['source']}).", "")
        rows = [("name", _code(name)), ("grid", _code(entry["grid"])), ("protocol", _code(entry["protocol"]))]
        rows += [(key, _plain(entry[key])) for key in ("backbones", "datasets", "differs") if entry[key]]
        yield from _table(("fact", "value"), rows)


def defects() -> Iterator[str]:
    """Yield the known defects of the official codes."""
    yield from (
        "# Defects of official codes",
        "",
        "D: MichaelLynn1996/AAT at commit dc406ad; P: the code of PETL_AST.",
        "",
    )
    rows = [
        (name, each.get("title"), each.get("status"), each.get("switch") or each.get("here", ""), each.get("source"))
        for name, each in catalogue("defects").items()
    ]
    yield from _table(("defect", "what", "status", "switch, or what is done here", "where"), rows)


def columns() -> Iterator[str]:
    """Yield the columns of the tables."""
    yield from ("# Columns", "")
    for title, module in COLUMN_LISTS.items():
        yield from (f"## {title}", "")
        described: Mapping[str, str] = importlib.import_module(module).COLUMNS
        yield from _table(("column", "meaning"), [(_code(name), text) for name, text in described.items()])


def records() -> Iterator[str]:
    """Yield the fields of the files of a results folder."""
    yield from ("# Records", "", "The files of a results folder. Unknown values are null.", "")
    for name, model in _schemas().items():
        text = inspect.cleandoc(model.__doc__ or "")
        yield from (f"## {model.__name__}", "", f"{text} JSON Schema: [{name}.json](schema/{name}.json)", "")
        rows = [(_code(key), field.description or "") for key, field in model.model_fields.items()]
        yield from _table(("field", "meaning"), rows)


def python() -> Iterator[str]:
    """Yield the functions of the API."""
    yield from ("# Python", "", "```python", "import benchmark", "```", "")
    for name in benchmark.__all__:
        function = getattr(benchmark, name)
        yield from (f"## {name}", "", "```python", f"benchmark.{name}{_signature(function)}", "```", "")
        yield from ("```text", inspect.cleandoc(function.__doc__ or ""), "```", "")


def _signature(function: Callable[..., Any]) -> str:
    parts = [str(each).replace("'", "") for each in inspect.signature(function).parameters.values()]
    return "(\n    " + ",\n    ".join(parts) + ",\n)"


def _schemas() -> dict[str, type[BaseModel]]:
    from benchmark.records import schema
    from benchmark.records.floor import Floor

    return {
        "record": schema.Record,
        "attempt": schema.Attempt,
        "profile": schema.StepProfile,
        "sharing": schema.SharingProfile,
        "floor": Floor,
    }


def outputs() -> Iterator[str]:
    """Yield what commands print with --json."""
    yield from ("# JSON output", "", "What commands print with `--json`. Unknown values are null.", "")
    for command, model in SCHEMAS.items():
        text = inspect.cleandoc(model.__doc__ or "") if issubclass(model, Output) else ""
        yield from (f"## {command}", "", f"{text} JSON Schema: [{command}.json]({_schema_path(command)})".strip(), "")
        if "root" not in model.model_fields:
            rows = [(_code(key), field.description or "") for key, field in model.model_fields.items()]
            yield from _table(("field", "meaning"), rows)


def _schema_path(command: str) -> str:
    """Return where the schema of a command's output is, beside the page."""
    return f"schema/output-{command.replace(' ', '-')}.json"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_plain(each)}" for key, each in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(_plain(each) for each in value)
    return str(value)


def _code(value: object) -> str:
    return f"`{value}`" if str(value) else ""


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yield a Markdown table, nothing without rows."""
    head, lines = list(head), [[_cell(value) for value in row] for row in rows]
    if lines:
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        yield from (f"| {' | '.join(line)} |" for line in lines)
        yield ""


def _cell(value: object) -> str:
    """Return text that stays in its cell and is no HTML."""
    text = " ".join(str(value).split()).replace("|", "\\|")
    return text if text.startswith("`") else text.replace("<", "&lt;")


COLUMN_LISTS = {
    "benchmark.load_results": "benchmark.records.frame",
    "results.csv": "benchmark.report.aggregate",
    "params --format csv": "benchmark.tools.params",
}


def store() -> Iterator[str]:
    """Yield layout and rules of a results store, as a new store has them."""
    yield store_rules()


PAGES = {
    "commands": commands,
    "methods": methods,
    "datasets": datasets,
    "backbones": backbones,
    "grids": grids,
    "recipes": recipes,
    "protocols": protocols,
    "papers": papers,
    "defects": defects,
    "columns": columns,
    "records": records,
    "store": store,
    "outputs": outputs,
    "python": python,
}
