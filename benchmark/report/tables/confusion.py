"""The table of confused classes: full fine-tuning and the best other method, where clips have one label."""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmark.report.aggregate import KEYS
from benchmark.report.by_class.read import shown_rows
from benchmark.report.by_class.result import ByClass
from benchmark.report.render import Table, row_names, short
from benchmark.report.results import Results
from benchmark.report.tables import TableSource

COLUMNS = ["cell", *KEYS, "settings", "true", "predicted", "clips", "share", "marks"]
PAIRS = 5  # that the text names


def build(source: TableSource) -> Table | None:
    """Return the table; None if no cell has a confusion matrix."""
    shown = shown_rows(source.results)
    found = source.results.by_class.by_cell
    shown = shown[[found[cell].confusion is not None for cell in shown["cell"]]]
    if shown.empty:
        return None
    named = source.results.names.named(shown)
    text = named[["protocol", "backbone", "dataset"]].assign(
        method=row_names(named), confused=[confused_text(found[cell]) for cell in shown["cell"]]
    )
    return source.table(
        confusion_rows(source.results, shown), text.rename(columns={"confused": "most confused (of the true class)"})
    )


def confusion_rows(results: Results, shown: pd.DataFrame) -> pd.DataFrame:
    """Return one row per entry of each confusion matrix that is not zero, with the columns `COLUMNS`.

    `clips` is the mean over seeds, `share` is that of the clips of the true class.

    Args:
        results: the results folder.
        shown: its cells with a confusion matrix.
    """
    rows: list[dict[str, Any]] = []
    for cell in shown.to_dict("records"):
        found = results.by_class.by_cell[cell["cell"]]
        shared = {name: cell[name] for name in ("cell", *KEYS, "settings", "marks")}
        for true, counts in zip(found.classes, found.confusion or (), strict=True):
            for predicted, clips in zip(found.classes, counts, strict=True):
                if clips:
                    entry = {"true": true.name, "predicted": predicted.name}
                    rows.append({**shared, **entry, "clips": clips, "share": clips / true.support})
    return pd.DataFrame(rows, columns=COLUMNS)


def confused_text(found: ByClass) -> str:
    """Return `dog → cat 12.5, rain → sea waves 10.0`: per cent of the clips of the true class."""
    pairs = found.confused()[:PAIRS]
    return ", ".join(
        f"{short(true.name)} → {short(predicted.name)} {100 * clips / true.support:.1f}"
        for true, predicted, clips in pairs
    )
