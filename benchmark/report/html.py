"""One self-contained page: summary, tables, figures, claims, and what stands behind every number."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from benchmark.report.claims.judge import judge
from benchmark.report.claims.ledger import VERDICTS, Judged, measured_text
from benchmark.report.explain import explain
from benchmark.report.render import BARE, INDEX, STRONG, Table, marks, named
from benchmark.report.results import Results


def to_html(
    results: Results, tables: Iterable[Table], figures: Iterable[tuple[str, str, Figure]], paper: Path | None = None
) -> str:
    """The page, which needs no network and opens from disk.

    Args:
        results: what it is made of.
        tables: in their order.
        figures: name, title and figure.
        paper: more of the paper's numbers, for the claims.
    """
    cells = results.cells
    protocol = "reference" if cells.empty or "reference" in set(cells["protocol"]) else str(cells["protocol"].iloc[0])
    judged = judge(results, protocol, paper)
    counts = Counter(each.verdict for each in judged)
    behind = {str(cell["cell"]): _behind(results, cell) for _, cell in cells.iterrows()}
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(
        (files("benchmark.report") / "page.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        name=results.store.folder.name,
        warnings=marks(cells),
        done=len(results.trials),
        expected=max(sum(map(len, results.expected.values())), len(results.trials)),
        latest=max(results.trials["finished"].str[:10], default=""),
        verdicts=", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]),
        tables=[_table(table, results) for table in tables],
        claims=[_claim(each) for each in judged],
        protocol=protocol,
        figures=[{"name": name, "title": title, "data": _svg(figure)} for name, title, figure in figures],
        switches=_switches(results),
        environments=_environments(results),
        # a tag's end inside a string would end the script
        provenance=Markup(json.dumps(behind, ensure_ascii=True).replace("<", "\\u003c")),
    )


def _table(table: Table, results: Results) -> dict[str, Any]:
    text = table.text.astype(str)
    ids = _ids(results.cells) if list(text.columns[: len(INDEX)]) == INDEX and "cell" in table.data else {}
    rows = []
    for row in text.to_dict("records"):
        key = tuple(row[name] for name in INDEX) if ids else ()
        rows.append([_cell(value, ids.get((*key, column), "")) for column, value in row.items()])
    return {
        "name": table.name,
        "title": table.caption.title,
        "note": table.caption.note,
        "head": list(text.columns),
        "rows": rows,
    }


def _ids(cells: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """Cells behind each place of a wide table."""
    found: dict[tuple[Any, ...], str] = {}
    for method, (_, cell) in zip(named(cells), cells.iterrows(), strict=True):
        key = (cell["protocol"], cell["backbone"], method, cell["dataset"])
        found[key] = f"{found[key]} {cell['cell']}" if key in found else str(cell["cell"])
    return found


def _cell(text: str, cells: str = "", css: str = "") -> dict[str, Any]:
    return {"text": text.translate(BARE), "strong": STRONG[0] in text, "cells": cells if text else "", "css": css}


def _claim(each: Judged) -> list[dict[str, Any]]:
    verdict = _cell(each.verdict, css=each.verdict)
    return [_cell(each.statement), verdict, *map(_cell, (each.paper, measured_text(each), each.why, each.source))]


def _behind(results: Results, cell: pd.Series) -> dict[str, Any]:
    """Less than `explain` says: environments have a table of their own."""
    found = explain(results, cell)
    return {key: value for key, value in found.items() if key not in {"environments", "protocol_switches"}}


def _switches(results: Results) -> list[list[dict[str, Any]]]:
    protocols = {request.protocol.name: request.protocol for request in results.requests.values()}
    return [
        [_cell(name), _cell(switch), _cell(str(value))]
        for name, protocol in protocols.items()
        for switch, value in protocol.model_dump(mode="json").items()
    ]


def _environments(results: Results) -> list[list[dict[str, Any]]]:
    found = results.environments | {profile.environment_hash: profile.environment for profile in results.profiles}
    rows = []
    for name, content in sorted(found.items()):
        packages = ", ".join(f"{key} {value}" for key, value in content.get("packages", {}).items())
        machine = ", ".join(f"{key} {value}" for key, value in content.items() if key not in {"packages", "device"})
        rows.append([_cell(name), _cell(str(content.get("device", ""))), _cell(packages), _cell(machine)])
    return rows


def _svg(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return base64.b64encode(buffer.getvalue()).decode()
