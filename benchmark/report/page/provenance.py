"""Provenance of the page's numbers; what cells and trials share is written once."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from benchmark.report.by_class.result import CLASS_METRICS, SUMMARY, ByClass
from benchmark.report.explain import explain
from benchmark.report.render import row_names
from benchmark.report.results import Results

SHARED = ("recipe", "recipe_changes", "backbone", "data", "method", "comparable_with")  # the same in many cells
OF_TRIAL = ("fold", "seed", "draw", "epoch", "score", "id")  # what differs between the trials of a cell
ELSEWHERE = ("environments", "protocol_switches", "compared")  # have their own tables on the page


def provenance(results: Results) -> dict[str, Any]:
    """Return `cells`, the provenance by cell, and `shared`, values to which a cell's numbers under `shared` point.

    The trials of a cell are rows of `OF_TRIAL` and of the place of the record, with `trials_share` for
    the values of the others.
    """
    numbers: dict[str, int] = {}
    cells = {}
    named = results.names.named(results.cells)
    titles = row_names(named) + ", " + named["dataset"] + ", " + named["backbone"] + ", protocol " + named["protocol"]
    for title, (_, cell) in zip(titles, results.cells.iterrows(), strict=True):
        content = {key: value for key, value in explain(results, cell).items() if key not in ELSEWHERE}
        pointers = {}
        for key in SHARED:
            text = json.dumps(content.pop(key), sort_keys=True)
            pointers[key] = numbers.setdefault(text, len(numbers))
        trials = content.pop("trials")
        by_class = _classes(results.by_class.by_cell.get(cell["cell"]))
        cells[str(cell["cell"])] = {"title": title, **content, "shared": pointers, **_trials(trials), **by_class}
    return {"cells": cells, "shared": [json.loads(text) for text in numbers]}


def _trials(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the trials of a cell as rows, and what they share; a record lies at `folder/PLACE-ID.json`."""
    if not trials:
        return {"trials": []}
    paths = [PurePosixPath(trial["record"]) for trial in trials]
    rows = [
        [*(_rounded(trial[name]) for name in OF_TRIAL), path.name.removesuffix(f"-{trial['id']}.json")]
        for trial, path in zip(trials, paths, strict=True)
    ]
    names = [name for name in trials[0] if name not in {*OF_TRIAL, "record"}]
    shared = {name: ", ".join(sorted({str(trial[name]) for trial in trials})) for name in names}
    return {"trials": rows, "trials_share": shared, "folder": str(paths[0].parent)}


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


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


def ids_by_place(cells: pd.DataFrame, names: pd.Series) -> dict[tuple[Any, ...], str]:
    """Return the ids of the cells of each place (protocol, backbone, method, dataset) of a wide table.

    Args:
        cells: table cells, with labels in place of names.
        names: the method of each cell, as the table shows it.
    """
    ids: dict[tuple[Any, ...], str] = {}
    for method, (_, cell) in zip(names, cells.iterrows(), strict=True):
        key = (cell["protocol"], cell["backbone"], method, cell["dataset"])
        ids[key] = f"{ids[key]} {cell['cell']}" if key in ids else str(cell["cell"])
    return ids
