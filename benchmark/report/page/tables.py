"""Tables for the page's template: cells that open their provenance, the main table per protocol and backbone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from benchmark.report.escape import STRONG, WITHOUT_STRONG
from benchmark.report.page.provenance import ids_by_place
from benchmark.report.render import INDEX, Table, row_names, without_constants
from benchmark.report.results import Results
from benchmark.report.tables.results import NO_BACKBONE

Cell = dict[str, Any]


def section(table: Table, results: Results, *, by_backbone: bool = False) -> dict[str, Any]:
    """Return a table for the template: name, title, note and `grids`, each with a caption, a head and rows.

    Args:
        table: the table.
        results: the results folder.
        by_backbone: whether to split it into a grid per protocol and backbone; rows without a backbone, the floors,
            are in every grid of their protocol.
    """
    text = table.text.astype(str)
    wide = list(text.columns[: len(INDEX)]) == INDEX and "cell" in table.data
    ids = _ids(results) if wide else {}
    parts = _by_backbone(text) if by_backbone and wide and len(text) else [("", text)]
    return {
        "name": table.name,
        "title": table.caption.title,
        "note": table.caption.note,
        "rows": len(text),
        "grids": [_grid(caption, part, ids) for caption, part in parts],
    }


def _ids(results: Results) -> dict[tuple[Any, ...], str]:
    named = results.names.named(results.cells)
    return ids_by_place(named, row_names(named))


def _by_backbone(text: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield a caption and the rows of each protocol and backbone, without their two columns and empty datasets."""
    floors = text["backbone"] == NO_BACKBONE
    several = text["protocol"].nunique() > 1
    for (protocol, backbone), rows in text[~floors].groupby(["protocol", "backbone"], sort=False):
        part = pd.concat([rows, text[floors & (text["protocol"] == protocol)]])
        datasets = part.columns[len(INDEX) :]
        empty = [name for name in datasets if (rows[name] == "").all()]
        yield f"{backbone}, protocol {protocol}" if several else str(backbone), part.drop(columns=empty)


def _grid(caption: str, text: pd.DataFrame, ids: dict[tuple[Any, ...], str]) -> dict[str, Any]:
    if caption:  # it names protocol and backbone
        said, shown = "", text.drop(columns=INDEX[:2])
    else:
        said, shown = without_constants(text)
    rows = []
    for row in text.to_dict("records"):
        key = tuple(row[name] for name in INDEX) if ids else ()
        cells = [cell(row[column], ids.get((*key, column), "")) for column in shown.columns]
        rows.append({"cells": cells, "is_floor": row.get("backbone") == NO_BACKBONE})
    return {"caption": caption, "shared": said, "head": list(shown.columns), "rows": rows}


def plain_grid(head: Iterable[str], rows: Iterable[Iterable[str]]) -> dict[str, Any]:
    """Return a grid of texts without provenance."""
    lines = [{"cells": [cell(text) for text in row], "is_floor": False} for row in rows]
    return {"caption": "", "shared": "", "head": list(head), "rows": lines}


def cell(text: str, cells: str = "") -> Cell:
    """Return a table cell for the template.

    Args:
        text: what it shows, with the signs of bold text.
        cells: ids of the cells whose provenance it opens.
    """
    return {"text": text.translate(WITHOUT_STRONG), "strong": STRONG[0] in text, "cells": cells if text else ""}


def switches(results: Results) -> dict[str, Any]:
    """Return the switches of every protocol: a column per protocol."""
    protocols = {request.protocol.name: request.protocol for request in results.requests.values()}
    names = dict.fromkeys(switch for protocol in protocols.values() for switch in protocol.switches)
    rows = [[name, *(_switch(name, protocol.switches[name]) for protocol in protocols.values())] for name in names]
    return plain_grid(["switch", *map(results.names.protocol, protocols)], rows)


def _switch(name: str, value: object) -> str:
    """Return the value of a switch, and where it does not act."""
    return f"{value}; best on validation where a dataset has validation clips" if name == "selection" else str(value)


def environments(results: Results) -> dict[str, Any]:
    """Return the environments of records and profiles."""
    of_profiles = {profile.environment_hash: profile.environment for profile in results.profiles}
    rows = []
    for name, content in sorted((results.environments | of_profiles).items()):
        packages = ", ".join(f"{key} {value}" for key, value in content.get("packages", {}).items())
        machine = ", ".join(f"{key} {value}" for key, value in content.items() if key not in {"packages", "device"})
        rows.append([name, str(content.get("device", "")), packages, machine])
    return plain_grid(["environment", "device", "packages", "machine"], rows)
