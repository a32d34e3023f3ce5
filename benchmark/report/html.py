"""The report as one self-contained page: summary, tables, figures, claims, and the provenance of every number."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from benchmark.report.by_class.result import CLASS_METRICS, SUMMARY, ByClass
from benchmark.report.claims.judge import judge
from benchmark.report.claims.ledger import VERDICTS, Judged, measured_text
from benchmark.report.explain import explain
from benchmark.report.figures import NamedFigure, to_svg
from benchmark.report.papers import DEFAULT_PAPERS, PaperChoice
from benchmark.report.render import INDEX, STRONG, WITHOUT_STRONG, Table, marks, row_names, without_constants
from benchmark.report.results import Results


def to_html(
    results: Results, tables: Sequence[Table], figures: Iterable[NamedFigure], choice: PaperChoice = DEFAULT_PAPERS
) -> str:
    """Return the page; it needs no network.

    Args:
        results: the results folder.
        tables: tables in the order of the page; the first is the main one.
        figures: figures in the order of the page.
        choice: papers whose claims are shown.
    """
    cells = results.cells
    papers = choice.of(results)
    protocols = {paper.name: paper.protocol_of(results) for paper in papers}
    judged = [claim for paper in papers for claim in judge(results, [paper], protocols[paper.name])]
    labels = {paper.name: paper.about.label for paper in papers}
    provenance = {str(cell["cell"]): _provenance(results, cell) for _, cell in cells.iterrows()}
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(
        (files("benchmark.report") / "page.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        name=results.store.folder.name,
        warnings=marks(cells),
        done=len(results.trials),
        expected=max(sum(map(len, results.submitted.values())), len(results.trials)),
        latest=max(results.trials["finished"].str[:10], default=""),
        verdicts="; ".join(f"{paper.about.label}: {_verdicts(judged, paper.name)}" for paper in papers),
        tables=[_table(table, results) for table in tables],
        claims=[_claim(claim, labels[claim.publication]) for claim in judged],
        papers=[{**paper.about.model_dump(), "protocol": protocols[paper.name]} for paper in papers],
        figures=[
            {"name": figure.name, "title": figure.title, "data": base64.b64encode(to_svg(figure.figure)).decode()}
            for figure in figures
        ],
        switches=_switches(results),
        environments=_environments(results),
        # `</script>` inside a string would end the script
        provenance=Markup(json.dumps(provenance, ensure_ascii=True).replace("<", "\\u003c")),
    )


def _table(table: Table, results: Results) -> dict[str, Any]:
    """Return a table for the template; values of a table by dataset open their provenance."""
    text = table.text.astype(str)
    by_dataset = list(text.columns[: len(INDEX)]) == INDEX and "cell" in table.data
    ids = _ids(results.names.named(results.cells)) if by_dataset else {}
    said, shown = without_constants(text)
    rows = []
    for row in text.to_dict("records"):
        key = tuple(row[name] for name in INDEX) if ids else ()
        rows.append([_cell(row[column], ids.get((*key, column), "")) for column in shown.columns])
    return {
        "name": table.name,
        "title": table.caption.title,
        "shared": said,
        "note": table.caption.note,
        "head": list(shown.columns),
        "rows": rows,
    }


def _ids(cells: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """Return the ids of the cells of each place (protocol, backbone, method, dataset) of a wide table.

    Args:
        cells: table cells, with labels in place of names.
    """
    ids: dict[tuple[Any, ...], str] = {}
    for method, (_, cell) in zip(row_names(cells), cells.iterrows(), strict=True):
        key = (cell["protocol"], cell["backbone"], method, cell["dataset"])
        ids[key] = f"{ids[key]} {cell['cell']}" if key in ids else str(cell["cell"])
    return ids


def _cell(text: str, cells: str = "", css: str = "") -> dict[str, Any]:
    return {
        "text": text.translate(WITHOUT_STRONG),
        "strong": STRONG[0] in text,
        "cells": cells if text else "",
        "css": css,
    }


def _verdicts(judged: Iterable[Judged], paper: str) -> str:
    counts = Counter(claim.verdict for claim in judged if claim.publication == paper)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def _claim(claim: Judged, publication: str) -> list[dict[str, Any]]:
    verdict = _cell(claim.verdict, css=claim.verdict)
    why = "; ".join(filter(None, [claim.why, claim.note]))
    values = (claim.paper, measured_text(claim), why, claim.source, publication)
    return [_cell(claim.statement), verdict, *map(_cell, values)]


def _provenance(results: Results, cell: pd.Series) -> dict[str, Any]:
    """Return the provenance of a cell without environments and switches, which have their own tables on the page."""
    provenance = explain(results, cell)
    kept = {key: value for key, value in provenance.items() if key not in {"environments", "protocol_switches"}}
    return {**kept, **_classes(results.by_class.by_cell.get(cell["cell"]))}


def _classes(found: ByClass | None) -> dict[str, Any]:
    """Return the results by class of a cell, as text, if they were read: a summary, and a table with its head."""
    if found is None:
        return {}
    rows = [
        [entry.name, str(entry.support), *(value.text for value in entry.values.values())] for entry in found.present
    ]
    return {
        "by_class": {label: found.summary[key].text for key, label in SUMMARY.items() if found.summary[key].text},
        "classes": [["class", "clips", *CLASS_METRICS[found.metric]], *rows],
    }


def _switches(results: Results) -> list[list[dict[str, Any]]]:
    protocols = {request.protocol.name: request.protocol for request in results.requests.values()}
    return [
        [_cell(name), _cell(switch), _cell(str(value))]
        for name, protocol in protocols.items()
        for switch, value in protocol.switches.items()
    ]


def _environments(results: Results) -> list[list[dict[str, Any]]]:
    of_profiles = {profile.environment_hash: profile.environment for profile in results.profiles}
    rows = []
    for name, content in sorted((results.environments | of_profiles).items()):
        packages = ", ".join(f"{key} {value}" for key, value in content.get("packages", {}).items())
        machine = ", ".join(f"{key} {value}" for key, value in content.items() if key not in {"packages", "device"})
        rows.append([_cell(name), _cell(str(content.get("device", ""))), _cell(packages), _cell(machine)])
    return rows
