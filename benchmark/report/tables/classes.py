"""The table of results by class: full fine-tuning and the best other method of every dataset."""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmark.report.aggregate import KEYS
from benchmark.report.by_class.read import shown_rows
from benchmark.report.by_class.result import SUMMARY, ByClass, Value
from benchmark.report.render import Table, row_names, short
from benchmark.report.results import Results
from benchmark.report.tables import TableSource

COLUMNS = ["cell", *KEYS, "settings", "class", "clips", "support", "metric", "value", "seed_sd", "seeds", "marks"]
WEAKEST = 3  # classes that the text names


def build(source: TableSource) -> Table | None:
    """Return the table; None if no cell has stored logits."""
    shown = shown_rows(source.results)
    if shown.empty:
        return None
    left_out = source.results.by_class.left_out
    return source.table(
        class_rows(source.results, shown),
        classes_text(source.results, shown),
        f"Left out: {'; '.join(left_out)}." if left_out else "",
    )


def class_rows(results: Results, shown: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell, class with test clips, and number, with the columns `COLUMNS`, in [0, 1].

    Rows without a class are numbers over all classes.

    Args:
        results: the results folder.
        shown: its cells with results by class.
    """
    rows: list[dict[str, Any]] = []
    for cell in shown.to_dict("records"):
        found = results.by_class.by_cell[cell["cell"]]
        shared = {name: cell[name] for name in ("cell", *KEYS, "settings", "marks")} | {"seeds": len(found.seeds)}
        for entry in found.present:
            of_class = {"class": entry.name, "clips": entry.clips, "support": entry.support}
            rows += [{**shared, **of_class, **_number(name, value)} for name, value in entry.values.items()]
        rows += [{**shared, **_number(name, value)} for name, value in found.summary.items()]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"clips": "Int64", "support": "Int64"})


def _number(metric: str, value: Value) -> dict[str, Any]:
    return {"metric": metric, "value": value.mean, "seed_sd": value.seed_sd}


def classes_text(results: Results, shown: pd.DataFrame) -> pd.DataFrame:
    """Return a row per cell: the numbers over all classes, and the classes with the lowest recall or precision."""
    named = results.names.named(shown)
    text = named[["protocol", "backbone", "dataset"]].copy()
    text["method"] = row_names(named)
    found = [results.by_class.by_cell[cell] for cell in shown["cell"]]
    for key, label in SUMMARY.items():
        text[label] = [by_class.summary[key].text for by_class in found]
    text["weakest classes"] = [_weakest(by_class) for by_class in found]
    return text


def _weakest(found: ByClass) -> str:
    """Return `dog 12.5, cat 25.0, rain 50.0`; perfect classes are left out."""
    classes = [entry for entry in found.weakest if entry.values[found.score].mean != 1][:WEAKEST]
    return ", ".join(f"{short(entry.name)} {100 * (entry.values[found.score].mean or 0):.1f}" for entry in classes)
